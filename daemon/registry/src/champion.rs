use perennial_types::{AdapterId, CycleId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{Promotion, PromotionReason, Registry, RegistryError, invariants, promotions, tries};

/// What [`change`] records.
pub(crate) enum Change<'a> {
    /// The candidate of this cycle passed the gate.
    Passed(&'a AdapterId, CycleId),
    /// Someone promoted this adapter by hand, and said why.
    Forced(&'a AdapterId, &'a str),
    /// Someone went back to this champion, or to the base model.
    Rollback(Option<&'a AdapterId>),
}

impl Registry {
    /// The adapter in service; `None` where the base model is in service without one.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn champion(&self) -> Result<Option<AdapterId>, RegistryError> {
        promotions::champion(&self.lock())
    }

    /// The champion's line: the adapters that rolling back would go through, oldest first and the champion last; empty where the base
    /// model is in service.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn line(&self) -> Result<Vec<AdapterId>, RegistryError> {
        promotions::line(&self.lock())
    }

    /// Makes an adapter the champion by hand, whatever the gate said, and records that it was forced, and why. What it learned
    /// is fresh no longer.
    ///
    /// # Errors
    /// Where there is no such adapter, or it is the champion already.
    pub fn force_promote(&self, adapter: &AdapterId, note: &str, at_ms: i64) -> Result<(), RegistryError> {
        self.write(|transaction| {
            if !transaction.prepare_cached("SELECT 1 FROM adapters WHERE id = ?1")?.exists([adapter.as_str()])? {
                return Err(RegistryError::UnknownAdapter(adapter.clone()));
            }
            if promotions::champion(transaction)?.as_ref() == Some(adapter) {
                return Err(RegistryError::AlreadyChampion(adapter.clone()));
            }
            change(transaction, &Change::Forced(adapter, note), at_ms)?;
            tries::learned_after_all(transaction, adapter)
        })
    }

    /// Goes back to the champion that the present one replaced, or to the base model where it replaced that; with `to`, to
    /// that earlier champion. Going back twice goes back two steps. Returns who is in service now.
    ///
    /// # Errors
    /// Where the base model is in service, or `to` is not among the champions before the present one.
    pub fn roll_back(&self, to: Option<&AdapterId>, at_ms: i64) -> Result<Option<AdapterId>, RegistryError> {
        self.write(|transaction| {
            let to = target(transaction, to)?;
            change(transaction, &Change::Rollback(to.as_ref()), at_ms)?;
            Ok(to)
        })
    }

    /// Who would be in service after [`roll_back`](Self::roll_back).
    ///
    /// # Errors
    /// Where that would refuse.
    pub fn roll_back_target(&self, to: Option<&AdapterId>) -> Result<Option<AdapterId>, RegistryError> {
        target(&self.lock(), to)
    }

    /// The last change of the champion with its number, from 1; `None` before the first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn last_promotion(&self) -> Result<Option<(u64, Promotion)>, RegistryError> {
        let sql = "SELECT * FROM promotions ORDER BY number DESC LIMIT 1";
        let last = |row: &Row<'_>| Ok((row.get("number")?, promotions::of_row(row)?));
        Ok(self.lock().query_row(sql, [], last).optional()?)
    }

    /// Every change of the champion, oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn promotions(&self) -> Result<Vec<Promotion>, RegistryError> {
        promotions::all(&self.lock())
    }
}

fn target(connection: &Connection, to: Option<&AdapterId>) -> Result<Option<AdapterId>, RegistryError> {
    let mut earlier = promotions::line(connection)?;
    if earlier.pop().is_none() {
        return Err(RegistryError::NothingToRollBack);
    }
    match to {
        Some(to) if !earlier.contains(to) => Err(RegistryError::NotAnEarlierChampion(to.clone())),
        Some(to) => Ok(Some(to.clone())),
        None => Ok(earlier.pop()),
    }
}

/// Moves the pointer, the states and the history together; this is the only function that does.
pub(crate) fn change(connection: &Connection, change: &Change<'_>, at_ms: i64) -> Result<(), RegistryError> {
    let (to, reason, cycle, note) = match *change {
        Change::Passed(to, cycle) => (Some(to), PromotionReason::Passed, Some(cycle.0), None),
        Change::Forced(to, note) => (Some(to), PromotionReason::Forced, None, Some(note)),
        Change::Rollback(to) => (to, PromotionReason::Rollback, None, None),
    };
    let to = to.map(AdapterId::as_str);
    connection.execute(
        "INSERT INTO promotions (at_ms, from_adapter, to_adapter, reason, cycle, note)
         VALUES (?1, (SELECT adapter FROM champion), ?2, ?3, ?4, ?5)",
        params![at_ms, to, reason.as_str(), cycle, note],
    )?;
    connection.execute("UPDATE adapters SET state = 'retired' WHERE state = 'champion'", [])?;
    connection.execute("UPDATE adapters SET state = 'champion' WHERE id = ?1", [to])?;
    connection.execute("UPDATE champion SET adapter = ?1", [to])?;
    invariants::exactly_one_champion(connection)
}
