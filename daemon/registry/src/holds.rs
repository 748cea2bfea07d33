//! Candidates that passed the gate and wait for a person's word before they are in service.

use perennial_types::CycleId;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{Phase, Registry, RegistryError, column, cycle_rows::open_cycle_of};

/// A candidate that waits, or has waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its cycle.
    pub cycle: CycleId,
    /// Since when, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What a person said; `None` while nobody has.
    pub answer: Option<HoldAnswer>,
}

/// A person's word on a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldAnswer {
    /// Whether it may be in service.
    pub approves: bool,
    /// Why, as it was given.
    pub reason: String,
    /// When it was given, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

impl Registry {
    /// Lets a cycle's candidate wait. Told again, it has waited since the first time.
    ///
    /// # Errors
    /// Where the cycle is finished, or not evaluated yet.
    pub fn hold(&self, cycle: CycleId, at_ms: i64) -> Result<Hold, RegistryError> {
        self.write(|transaction| {
            let known = open_cycle_of(transaction, cycle)?;
            if known.phase() != Some(Phase::Evaluated) {
                return Err(RegistryError::NothingHeld(cycle));
            }
            transaction.execute(
                "INSERT INTO holds (cycle, at_ms) VALUES (?1, ?2) ON CONFLICT (cycle) DO NOTHING",
                params![cycle.0, at_ms],
            )?;
            read(transaction, cycle)?.ok_or(RegistryError::NothingHeld(cycle))
        })
    }

    /// Whether a cycle's candidate waits or has waited.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn hold_of(&self, cycle: CycleId) -> Result<Option<Hold>, RegistryError> {
        read(&self.lock(), cycle)
    }

    /// Keeps a person's word on the candidate of a cycle; the next run of the cycle goes by it.
    ///
    /// # Errors
    /// Where the cycle is finished, its candidate does not wait, or the word was given before.
    pub fn answer_hold(&self, cycle: CycleId, answer: &HoldAnswer) -> Result<(), RegistryError> {
        self.write(|transaction| {
            open_cycle_of(transaction, cycle)?;
            let changed = transaction.execute(
                "UPDATE holds SET approves = ?2, reason = ?3, answered_ms = ?4 WHERE cycle = ?1 AND approves IS NULL",
                params![cycle.0, answer.approves, answer.reason, answer.at_ms],
            )?;
            if changed == 0 { Err(RegistryError::NothingHeld(cycle)) } else { Ok(()) }
        })
    }
}

fn read(connection: &Connection, cycle: CycleId) -> Result<Option<Hold>, RegistryError> {
    let mut statement = connection.prepare_cached("SELECT * FROM holds WHERE cycle = ?1")?;
    Ok(statement.query_row([cycle.0], of_row).optional()?)
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let answer = |approves| -> rusqlite::Result<HoldAnswer> {
        Ok(HoldAnswer { approves, reason: row.get("reason")?, at_ms: row.get("answered_ms")? })
    };
    Ok(Hold {
        cycle: column::cycle_id(row, "cycle")?,
        at_ms: row.get("at_ms")?,
        answer: row.get::<_, Option<bool>>("approves")?.map(answer).transpose()?,
    })
}
