//! Whether the registry is sound.

use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use crate::{Registry, RegistryError, invariants};

/// How many of SQLite's instructions are run between two looks at the clock.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;

impl Registry {
    /// Checks every property of [`invariants`], the foreign keys, and SQLite's own structures. Reads the whole database.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self) -> Result<(), RegistryError> {
        let connection = self.lock();
        invariants::database_is_sound(&connection)?;
        invariants::exactly_one_champion(&connection)?;
        invariants::no_promotion_without_passed_gate(&connection)?;
        invariants::sample_id_stored_once(&connection)?;
        invariants::phases_in_order(&connection)
    }

    /// Checks SQLite's own structures for at most so long, and the champion. Returns whether all was looked at; for the rest
    /// there is [`check`](Self::check).
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check_for(&self, time: Duration) -> Result<bool, RegistryError> {
        let connection = self.lock();
        let deadline = Instant::now() + time;
        connection.progress_handler(INSTRUCTIONS_PER_LOOK, Some(move || Instant::now() >= deadline));
        let checked = invariants::database_is_sound(&connection);
        connection.progress_handler(0, None::<fn() -> bool>);
        let whole = match checked {
            Err(RegistryError::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                false
            }
            checked => checked.map(|()| true)?,
        };
        invariants::exactly_one_champion(&connection)?;
        Ok(whole)
    }
}
