use perennial_types::CycleId;
use rusqlite::{Connection, params};

use crate::{CycleOutcome, Registry, RegistryError, cycle_rows::open_cycle_of};

impl Registry {
    /// Counts a run of a cycle before it does anything, so that one that ends the process is counted as well. `progress`
    /// names how far the cycle is: where it differs from that of the last run, counting begins anew; a run that recorded a phase
    /// is the first to try the next. Returns the number of this run, from 1.
    ///
    /// # Errors
    /// Where the cycle is finished or unknown.
    pub fn begin_attempt(&self, cycle: CycleId, progress: &str) -> Result<u32, RegistryError> {
        self.write(|transaction| {
            open_cycle_of(transaction, cycle)?;
            transaction.execute(
                "UPDATE cycles SET attempts = iif(ifnull(progress, ?2) = ?2, attempts, 0) + 1, progress = ?2 WHERE id = ?1",
                params![cycle.0, progress],
            )?;
            let attempts = "SELECT attempts FROM cycles WHERE id = ?1";
            Ok(transaction.query_row(attempts, [cycle.0], |row| row.get(0))?)
        })
    }

    /// Takes back what [`begin_attempt`](Self::begin_attempt) counted: the run was told to stop, which says nothing of the
    /// cycle.
    ///
    /// # Errors
    /// Where the cycle is finished or unknown.
    pub fn give_attempt_back(&self, cycle: CycleId) -> Result<(), RegistryError> {
        self.write(|transaction| {
            open_cycle_of(transaction, cycle)?;
            transaction.execute("UPDATE cycles SET attempts = max(attempts - 1, 0) WHERE id = ?1", [cycle.0])?;
            Ok(())
        })
    }

    /// Keeps the error that a run of a cycle ended with.
    ///
    /// # Errors
    /// Where the cycle is finished or unknown.
    pub fn record_trouble(&self, cycle: CycleId, reason: &str, at_ms: i64) -> Result<(), RegistryError> {
        self.write(|transaction| {
            open_cycle_of(transaction, cycle)?;
            transaction.execute(
                "UPDATE cycles SET trouble = ?2, trouble_ms = ?3, stuck_ms = ifnull(stuck_ms, ?3) WHERE id = ?1",
                params![cycle.0, reason, at_ms],
            )?;
            Ok(())
        })
    }

    /// Asks for the end of a cycle: the run under way, or else the next one, aborts it.
    ///
    /// # Errors
    /// Where it is finished or unknown, or its candidate is the champion already.
    pub fn request_abort(&self, cycle: CycleId, reason: &str) -> Result<(), RegistryError> {
        self.write(|transaction| {
            if open_cycle_of(transaction, cycle)?.outcome == Some(CycleOutcome::Promoted) {
                return Err(RegistryError::AlreadyPromoted(cycle));
            }
            transaction.execute("UPDATE cycles SET abort = ?2 WHERE id = ?1", params![cycle.0, reason])?;
            Ok(())
        })
    }
}

/// A phase is recorded: whatever kept the cycle from that is over.
pub(crate) fn got_further(connection: &Connection, cycle: CycleId) -> Result<(), RegistryError> {
    connection.execute(
        "UPDATE cycles SET attempts = min(attempts, 1), progress = NULL, trouble = NULL, trouble_ms = NULL, stuck_ms = NULL
         WHERE id = ?1",
        [cycle.0],
    )?;
    Ok(())
}
