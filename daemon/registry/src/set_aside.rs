use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{CycleId, Domain, SampleId};
use rusqlite::{Connection, params};
use serde::Serialize;

use crate::{Registry, RegistryError, column, lookup::among, tries};

/// A sample that is set aside: nothing can be learned from it as things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetAsideRecord {
    /// The sample that no cycle takes.
    pub id: SampleId,
    /// As the row or the request named it.
    pub domain: Domain,
    /// The cycle that found it; `None` where the indexer did.
    pub cycle: Option<CycleId>,
    /// What is wrong with it, for whoever looks after it.
    pub reason: String,
    /// When it was set aside, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Registry {
    /// Sets samples aside, each for its reason: no cycle collects them, and none replays them, until they are taken back. Doing so twice is
    /// harmless. Returns how many were not set aside before.
    ///
    /// # Errors
    /// Where one of them is unknown: then none is set aside.
    pub fn set_aside(
        &self,
        reasons: &BTreeMap<SampleId, String>,
        cycle: Option<CycleId>,
        at_ms: i64,
    ) -> Result<usize, RegistryError> {
        self.write(|transaction| add(transaction, reasons, cycle, at_ms))
    }

    /// The samples that are set aside, by one cycle where it is given: the latest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn set_aside_samples(
        &self,
        cycle: Option<CycleId>,
        limit: usize,
    ) -> Result<Vec<SetAsideRecord>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT set_aside.id, domain, set_aside.cycle, reason, at_ms
             FROM set_aside JOIN samples ON samples.id = set_aside.id
             WHERE ?1 IS NULL OR set_aside.cycle = ?1 ORDER BY at_ms DESC, set_aside.id LIMIT ?2",
        )?;
        let rows = statement.query_map(params![cycle.map(|cycle| cycle.0), limit], |row| {
            Ok(SetAsideRecord {
                id: column::sample_id(row, "id")?,
                domain: column::named(row, "domain")?,
                cycle: row.get::<_, Option<u64>>("cycle")?.map(CycleId),
                reason: row.get("reason")?,
                at_ms: row.get("at_ms")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many samples are set aside.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn set_aside_count(&self) -> Result<u64, RegistryError> {
        Ok(self.lock().query_row("SELECT count(*) FROM set_aside", [], |row| row.get(0))?)
    }

    /// Which of these samples are set aside.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn set_aside_among(&self, ids: &[SampleId]) -> Result<BTreeSet<SampleId>, RegistryError> {
        among(&self.lock(), "SELECT 1 FROM set_aside WHERE id = ?1", ids)
    }

    /// Lets samples that were set aside be collected again, as if they had never been tried, and returns how many were.
    /// Samples that are not set aside are passed over.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn take_back<'a>(&self, ids: impl IntoIterator<Item = &'a SampleId>) -> Result<usize, RegistryError> {
        self.write(|transaction| {
            let mut delete = transaction.prepare_cached("DELETE FROM set_aside WHERE id = ?1")?;
            let mut taken = 0;
            for id in ids {
                if delete.execute([id.0.as_bytes()])? == 1 {
                    tries::forgive(transaction, id)?;
                    taken += 1;
                }
            }
            Ok(taken)
        })
    }
}

/// As [`Registry::set_aside`].
pub(crate) fn add(
    connection: &Connection,
    reasons: &BTreeMap<SampleId, String>,
    cycle: Option<CycleId>,
    at_ms: i64,
) -> Result<usize, RegistryError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO set_aside (id, cycle, reason, at_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
    )?;
    let mut added = 0;
    for (id, reason) in reasons {
        added += insert.execute(params![id.0.as_bytes(), cycle.map(|cycle| cycle.0), reason, at_ms])?;
    }
    Ok(added)
}

/// As [`Registry::take_back`], all that a cycle set aside. Returns how many of them count no try of it.
pub(crate) fn take_back_by(connection: &Connection, cycle: CycleId) -> Result<usize, RegistryError> {
    let untried = "SELECT count(*) FROM set_aside WHERE cycle = ?1 AND NOT EXISTS
        (SELECT 1 FROM tries WHERE tries.id = set_aside.id AND tries.cycle = ?1 AND counts = 1)";
    let untried = connection.query_row(untried, [cycle.0], |row| row.get(0))?;
    connection.execute("DELETE FROM set_aside WHERE cycle = ?1", [cycle.0])?;
    Ok(untried)
}
