use std::collections::BTreeSet;

use perennial_types::{CycleId, Domain, Fingerprint, Kind, SampleId};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};

use crate::{
    Registry, RegistryError, Source,
    lookup::{FRESH, among},
    promotions, set_aside, sources, tries,
};

/// An immutable segment file that is synced and renamed, and now joins the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegment {
    /// Its path, relative to the state directory.
    pub path: String,
    /// The fingerprint of its bytes.
    pub fingerprint: Fingerprint,
    /// One a sample: as many as are given with it.
    pub rows: u64,
    /// The size of its file, in bytes.
    pub bytes: u64,
    /// When it was written.
    pub created_ms: i64,
}

/// One of its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSample {
    /// Which sample the row holds.
    pub id: SampleId,
    /// As the row or the request named it.
    pub domain: Domain,
    /// What it can teach: a text, a conversation, a preference and so on.
    pub kind: Kind,
    /// What it asks.
    pub question: Fingerprint,
    /// Whether it is kept from training, for the domain's auto suite.
    pub held_out: bool,
    /// When it arrived.
    pub arrived_ms: i64,
}

impl Registry {
    /// Which of these samples are in the catalogue.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn known(&self, ids: &[SampleId]) -> Result<BTreeSet<SampleId>, RegistryError> {
        among(&self.lock(), "SELECT 1 FROM samples WHERE id = ?1", ids)
    }

    /// Adds a segment and its samples; when it returns, they may be acknowledged.
    ///
    /// # Errors
    /// Where a sample or the segment is in the catalogue already, or the counts differ: then nothing is added.
    pub fn add_segment(&self, segment: &NewSegment, samples: &[NewSample]) -> Result<(), RegistryError> {
        self.take_in(Some((segment, samples)), &[], segment.created_ms)
    }

    /// Adds a segment with its samples, if there is one, and notes sources as taken in, all in one transaction.
    ///
    /// # Errors
    /// As [`add_segment`](Self::add_segment).
    pub fn take_in(
        &self,
        segment: Option<(&NewSegment, &[NewSample])>,
        sources: &[Source],
        at_ms: i64,
    ) -> Result<(), RegistryError> {
        if let Some((segment, samples)) = segment
            && segment.rows != samples.len() as u64
        {
            let (path, rows) = (segment.path.clone(), segment.rows);
            return Err(RegistryError::SegmentRows { path, rows, samples: samples.len() });
        }
        self.write(|transaction| {
            if let Some((segment, samples)) = segment {
                insert_samples(transaction, insert_segment(transaction, segment)?, samples)?;
            }
            sources.iter().try_for_each(|source| sources::record(transaction, source, at_ms).map(drop))
        })
    }

    /// Whether a segment of this path is in the catalogue.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn has_segment(&self, path: &str) -> Result<bool, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT 1 FROM segments WHERE path = ?1")?;
        Ok(statement.exists([path])?)
    }

    /// The paths of all segments, relative to the state directory: a segment file that is not among them was left by a
    /// crash, was never acknowledged, and may go.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn segment_paths(&self) -> Result<BTreeSet<String>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT path FROM segments")?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// The segments' number, rows and bytes in all.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn segment_totals(&self) -> Result<(u64, u64, u64), RegistryError> {
        let connection = self.lock();
        let sql = "SELECT count(*), ifnull(sum(rows), 0), ifnull(sum(bytes), 0) FROM segments";
        Ok(connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
    }

    /// Notes that these samples are in the replay buffer's index. Doing so twice is harmless.
    ///
    /// # Errors
    /// Where one of them is unknown or held out: then none is marked.
    pub fn mark_indexed(&self, ids: &[SampleId]) -> Result<(), RegistryError> {
        self.write(|transaction| {
            let mut update =
                transaction.prepare_cached("UPDATE samples SET indexed = 1 WHERE id = ?1 AND held_out = 0")?;
            for id in ids {
                if update.execute([id.0.as_bytes()])? != 1 {
                    return Err(RegistryError::NotIndexable(*id));
                }
            }
            Ok(())
        })
    }

    /// Notes that no sample is in the replay buffer's index, which was lost or is built anew (another embedding).
    ///
    /// # Errors
    /// Where the database fails.
    pub fn forget_index(&self) -> Result<(), RegistryError> {
        self.write(|transaction| Ok(transaction.execute("UPDATE samples SET indexed = 0 WHERE indexed = 1", [])?))?;
        Ok(())
    }

    /// Makes the samples that a cycle consumed whose adapter was rolled back fresh again, with those that any ended cycle set
    /// aside, and lets those that it tried be tried as if they never had been. Returns how many wait for no other change.
    ///
    /// # Errors
    /// Where the cycle is unknown or under way, or its adapter belongs to the champion's line.
    pub fn requeue(&self, cycle: CycleId) -> Result<usize, RegistryError> {
        self.write(|transaction| {
            let finished = "SELECT finished_ms IS NOT NULL FROM cycles WHERE id = ?1";
            let finished = transaction.query_row(finished, [cycle.0], |row| row.get(0)).optional()?;
            match finished {
                None => return Err(RegistryError::UnknownCycle(cycle)),
                Some(false) => return Err(RegistryError::NotRequeueable(cycle, "it is under way")),
                Some(true) => {}
            }
            let in_line = "SELECT 1 FROM candidates WHERE cycle = ?1 AND adapter IN (SELECT value FROM json_each(?2))";
            let line = serde_json::to_string(&promotions::line(transaction)?)?;
            let taken_back = set_aside::take_back_by(transaction, cycle)? + tries::forgive_by(transaction, cycle)?;
            if transaction.prepare(in_line)?.exists(params![cycle.0, line])? {
                return match taken_back {
                    0 => Err(RegistryError::NotRequeueable(cycle, "the champion has learned them")),
                    taken_back => Ok(taken_back),
                };
            }
            let consumed = transaction.execute("UPDATE samples SET cycle = NULL WHERE cycle = ?1", [cycle.0])?;
            Ok(taken_back + consumed)
        })
    }
}

/// Marks samples as consumed by a cycle, in the transaction of its decision.
pub(crate) fn consume(connection: &Connection, cycle: CycleId, ids: &[SampleId]) -> Result<(), RegistryError> {
    let mut update = connection.prepare_cached(&format!("UPDATE samples SET cycle = ?2 WHERE id = ?1 AND {FRESH}"))?;
    for id in ids {
        if update.execute(params![id.0.as_bytes(), cycle.0])? != 1 {
            return Err(RegistryError::NotFresh(*id));
        }
    }
    Ok(())
}

fn insert_segment(transaction: &Transaction<'_>, segment: &NewSegment) -> Result<i64, RegistryError> {
    let NewSegment { path, fingerprint, rows, bytes, created_ms } = segment;
    transaction
        .execute(
            "INSERT INTO segments (path, fingerprint, rows, bytes, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![path, fingerprint.to_string(), rows, bytes, created_ms],
        )
        .map_err(|error| if_taken(error, RegistryError::DuplicateSegment(path.clone())))?;
    Ok(transaction.last_insert_rowid())
}

fn insert_samples(transaction: &Transaction<'_>, segment: i64, samples: &[NewSample]) -> Result<(), RegistryError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO samples (id, segment, domain, kind, question, held_out, arrived_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for sample in samples {
        let NewSample { id, domain, kind, question, held_out, arrived_ms } = sample;
        let (domain, kind, question) = (domain.as_str(), kind.as_str(), question.as_bytes());
        insert
            .execute(params![id.0.as_bytes(), segment, domain, kind, question, held_out, arrived_ms])
            .map_err(|error| if_taken(error, RegistryError::DuplicateSample(*id)))?;
    }
    Ok(())
}

/// `taken` where the row's key is there already, else the error itself.
fn if_taken(error: rusqlite::Error, taken: RegistryError) -> RegistryError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => taken,
        _ => error.into(),
    }
}
