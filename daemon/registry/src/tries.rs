use std::collections::BTreeMap;

use perennial_types::{AdapterId, CycleId, SampleId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{Registry, RegistryError, column, lookup::FRESH};

/// How often a sample was learned by a candidate that the gate refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Cycles whose candidate learned it and was refused, ever.
    pub all: u32,
    /// Since somebody took it back; what it may be tried by itself is bounded by this.
    pub since: u32,
}

/// That a sample waits for a change, having been refused and not taken back: a condition on a row of `samples`.
pub(crate) const REFUSED: &str = "EXISTS (SELECT 1 FROM tries WHERE tries.id = samples.id AND counts = 1)";

impl Registry {
    /// How often these samples were tried; those that never were are left out.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn tries(&self, ids: &[SampleId]) -> Result<BTreeMap<SampleId, Tries>, RegistryError> {
        let connection = self.lock();
        let sql = "SELECT count(*) AS tried, sum(counts) AS since FROM tries WHERE id = ?1 GROUP BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let mut found = BTreeMap::new();
        for id in ids {
            let tries = |row: &Row<'_>| Ok(Tries { all: row.get("tried")?, since: row.get("since")? });
            found.extend(statement.query_row([id.0.as_bytes()], tries).optional()?.map(|tries| (*id, tries)));
        }
        Ok(found)
    }

    /// The last cycle that the gate refused.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn last_refused(&self) -> Result<Option<CycleId>, RegistryError> {
        let sql = "SELECT id FROM cycles WHERE outcome = 'rejected' ORDER BY id DESC LIMIT 1";
        Ok(self.lock().query_row(sql, [], |row| column::cycle_id(row, "id")).optional()?)
    }
}

/// Counts a try of what was learned by a candidate, in the transaction of the decision that refused it. What came to be held by
/// another meanwhile (somebody promoted what had learned it) is passed over.
pub(crate) fn charge(connection: &Connection, cycle: CycleId, ids: &[SampleId]) -> Result<(), RegistryError> {
    let mut count = connection.prepare_cached(&format!(
        "INSERT INTO tries (id, cycle) SELECT id, ?2 FROM samples WHERE id = ?1 AND {FRESH}"
    ))?;
    for id in ids {
        count.execute(params![id.0.as_bytes(), cycle.0])?;
    }
    Ok(())
}

/// Lets a sample be tried as if it never had been.
pub(crate) fn forgive(connection: &Connection, id: &SampleId) -> Result<(), RegistryError> {
    connection.prepare_cached("UPDATE tries SET counts = 0 WHERE id = ?1")?.execute([id.0.as_bytes()])?;
    Ok(())
}

/// As [`forgive`], all that a cycle tried or consumed. Returns how many of them that frees.
pub(crate) fn forgive_by(connection: &Connection, cycle: CycleId) -> Result<usize, RegistryError> {
    let of_cycle = "counts = 1 AND id IN
        (SELECT id FROM tries WHERE cycle = ?1 UNION SELECT id FROM samples WHERE samples.cycle = ?1)";
    let free = format!(
        "SELECT count(DISTINCT id) FROM tries WHERE {of_cycle} AND id IN
             (SELECT id FROM samples WHERE held_out = 0 AND samples.cycle IS NULL)"
    );
    let free = connection.query_row(&free, [cycle.0], |row| row.get(0))?;
    connection.execute(&format!("UPDATE tries SET counts = 0 WHERE {of_cycle}"), [cycle.0])?;
    Ok(free)
}

/// What this adapter learned is learned: somebody put it in service though the gate had refused it.
pub(crate) fn learned_after_all(connection: &Connection, adapter: &AdapterId) -> Result<(), RegistryError> {
    let mut statement = connection.prepare_cached("SELECT cycle FROM candidates WHERE adapter = ?1 ORDER BY cycle")?;
    let cycles: Vec<u64> = statement.query_map([adapter.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for cycle in cycles {
        connection.execute("DELETE FROM set_aside WHERE id IN (SELECT id FROM tries WHERE cycle = ?1)", [cycle])?;
        let consume = format!(
            "UPDATE samples SET cycle = ?1 WHERE id IN (SELECT id FROM tries WHERE tries.cycle = ?1) AND {FRESH}"
        );
        connection.execute(&consume, [cycle])?;
    }
    Ok(())
}
