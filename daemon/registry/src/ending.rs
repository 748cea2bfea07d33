use perennial_types::CycleId;
use rusqlite::{Connection, params};

use crate::{CycleOutcome, Phase, Registry, RegistryError, cycle_rows::open_cycle_of};

impl Registry {
    /// Ends a cycle that cannot go on, and says why and how to mend it. Its samples stay fresh.
    ///
    /// # Errors
    /// Where it is finished, or its candidate is the champion already.
    pub fn fail_cycle(&self, cycle: CycleId, reason: &str, remedy: &str, at_ms: i64) -> Result<(), RegistryError> {
        self.call_off(cycle, &CycleOutcome::Failed { reason: reason.to_owned(), remedy: remedy.to_owned() }, at_ms)
    }

    /// Ends a cycle that is not wanted any more. Its samples stay fresh.
    ///
    /// # Errors
    /// Where it is finished, or its candidate is the champion already.
    pub fn abort_cycle(&self, cycle: CycleId, reason: &str, at_ms: i64) -> Result<(), RegistryError> {
        self.call_off(cycle, &CycleOutcome::Aborted { reason: reason.to_owned() }, at_ms)
    }

    fn call_off(&self, cycle: CycleId, outcome: &CycleOutcome, at_ms: i64) -> Result<(), RegistryError> {
        self.write(|transaction| {
            if open_cycle_of(transaction, cycle)?.phase() == Some(Phase::Decided) {
                return Err(RegistryError::AlreadyPromoted(cycle));
            }
            reject_candidate(transaction, cycle)?;
            finish(transaction, cycle, outcome, at_ms)
        })
    }
}

/// What a cycle trained is no candidate any more.
pub(crate) fn reject_candidate(connection: &Connection, cycle: CycleId) -> Result<(), RegistryError> {
    connection.execute(
        "UPDATE adapters SET state = 'rejected'
         WHERE state = 'candidate' AND id IN (SELECT adapter FROM candidates WHERE cycle = ?1)",
        [cycle.0],
    )?;
    Ok(())
}

/// Ends a cycle.
pub(crate) fn finish(
    connection: &Connection,
    cycle: CycleId,
    outcome: &CycleOutcome,
    at_ms: i64,
) -> Result<(), RegistryError> {
    let (explanation, remedy) = match outcome {
        CycleOutcome::Promoted | CycleOutcome::Rejected => (None, None),
        CycleOutcome::Failed { reason, remedy } => (Some(reason), Some(remedy)),
        CycleOutcome::Aborted { reason } => (Some(reason), None),
    };
    connection.execute(
        "UPDATE cycles SET outcome = ?2, explanation = ?3, remedy = ?4, finished_ms = ?5 WHERE id = ?1",
        params![cycle.0, outcome.as_str(), explanation, remedy, at_ms],
    )?;
    Ok(())
}
