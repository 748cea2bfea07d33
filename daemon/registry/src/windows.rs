use perennial_types::{CycleId, SampleId};
use rusqlite::{Params, params};

use crate::{Registry, RegistryError, SampleRecord, samples};

/// What of the rows of a file or a request was taken, and what refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCounts {
    /// All of them.
    pub rows: u64,
    /// Those that were refused.
    pub refused: u64,
}

impl Registry {
    /// Samples that a cycle consumed as new ones, at most `limit`: the first by their ids, which are hashes, so that they are a
    /// random part of all.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn samples_of_cycle(&self, cycle: CycleId, limit: usize) -> Result<Vec<SampleRecord>, RegistryError> {
        let sql = format!("{} WHERE samples.cycle = ?1 ORDER BY samples.id LIMIT ?2", samples::RECORDS);
        samples::records(&self.lock(), &sql, params![cycle.0, limit])
    }

    /// The last training samples to arrive after this time, at most `limit`, whatever became of them but that they were not consumed
    /// by this cycle; the oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn samples_arrived(
        &self,
        after_ms: i64,
        but_of: CycleId,
        limit: usize,
    ) -> Result<Vec<SampleRecord>, RegistryError> {
        let sql = format!(
            "{} WHERE held_out = 0 AND samples.arrived_ms > ?1 AND samples.cycle IS NOT ?2
             ORDER BY samples.arrived_ms DESC, samples.id LIMIT ?3",
            samples::RECORDS
        );
        self.oldest_first(&sql, params![after_ms, but_of.0, limit])
    }

    /// The last held-out samples to arrive until this time, at most `limit`, the oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn held_out_until(&self, until_ms: i64, limit: usize) -> Result<Vec<SampleRecord>, RegistryError> {
        let sql = format!(
            "{} WHERE held_out = 1 AND samples.arrived_ms <= ?1 ORDER BY samples.arrived_ms DESC, samples.id LIMIT ?2",
            samples::RECORDS
        );
        self.oldest_first(&sql, params![until_ms, limit])
    }

    /// A part of these samples that may be replayed ([`replayable`](Self::replayable)), at most `limit`: the first by their ids.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn replayable_ids(&self, limit: usize) -> Result<Vec<SampleId>, RegistryError> {
        let mut ids: Vec<SampleId> = self.replayable()?.into_iter().map(|record| record.id).collect();
        ids.truncate(limit);
        Ok(ids)
    }

    /// The last files and requests that were first taken in after one time and until another, at most `limit`, the oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn sources_taken(
        &self,
        after_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Result<Vec<SourceCounts>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT stored + duplicates + quarantined AS rows, quarantined FROM sources
             WHERE first_ms > ?1 AND first_ms <= ?2 ORDER BY first_ms DESC, fingerprint LIMIT ?3",
        )?;
        let rows = statement.query_map(params![after_ms, until_ms, limit], |row| {
            Ok(SourceCounts { rows: row.get("rows")?, refused: row.get("quarantined")? })
        })?;
        let mut sources = rows.collect::<Result<Vec<_>, _>>()?;
        sources.reverse();
        Ok(sources)
    }

    fn oldest_first(&self, sql: &str, parameters: impl Params) -> Result<Vec<SampleRecord>, RegistryError> {
        let mut records = samples::records(&self.lock(), sql, parameters)?;
        records.reverse();
        Ok(records)
    }
}
