use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use perennial_types::{Domain, Fingerprint, Kind, SampleId};
use rusqlite::{Connection, Params, Row};

use crate::{Registry, RegistryError, column, promotions, tries::REFUSED};

/// Where a sample is and what the catalogue knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRecord {
    /// The sample.
    pub id: SampleId,
    /// The path of its segment, relative to the state directory; shared between the records of one answer.
    pub segment: Arc<str>,
    /// As the row or the request named it.
    pub domain: Domain,
    /// Its shape.
    pub kind: Kind,
    /// What it asks; `None` for what was stored before that was noted, until it is filled in.
    pub question: Option<Fingerprint>,
    /// Whether it was put into the replay buffer's index.
    pub indexed: bool,
    /// When it arrived.
    pub arrived_ms: i64,
}

/// How many samples a domain has on either side of the split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainCounts {
    /// Kept from training.
    pub held_out: u64,
    /// Open to training.
    pub training: u64,
}

/// The samples that wait for a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Samples that wait, whatever their domain and kind.
    pub count: u64,
    /// Of these, how many a candidate learned that the gate refused: see [`Tries::since`](crate::Tries::since).
    pub refused: u64,
    /// When the oldest arrived; `None` where there are none.
    pub oldest_ms: Option<i64>,
    /// When the oldest of the others did.
    pub oldest_new_ms: Option<i64>,
}

/// A count of samples, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleCount {
    /// What the samples are counted by, with what follows.
    pub domain: Domain,
    /// The shape.
    pub kind: Kind,
    /// Which side of the split.
    pub held_out: bool,
    /// Samples of this domain, kind and side.
    pub count: u64,
}

/// What keeps samples out that are set aside.
const NOT_SET_ASIDE: &str = "NOT EXISTS (SELECT 1 FROM set_aside WHERE set_aside.id = samples.id)";

/// What keeps samples to the shapes in parameter 1 and, where parameter 2 is not NULL, to the domains there.
const TRAINABLE: &str =
    "held_out = 0 AND samples.cycle IS NULL AND kept_out IS NULL AND kind IN (SELECT value FROM json_each(?1))
    AND (?2 IS NULL OR samples.domain IN (SELECT value FROM json_each(?2)))";

pub(crate) const RECORDS: &str = "SELECT samples.id, segments.path, samples.domain, samples.kind, samples.question,
        samples.indexed, samples.arrived_ms
    FROM samples JOIN segments ON segments.number = samples.segment";

impl Registry {
    /// How each domain is split, for the decision where the next sample goes.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn held_out_counts(&self) -> Result<BTreeMap<Domain, DomainCounts>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT domain, sum(held_out) AS held_out, sum(1 - held_out) AS training FROM samples GROUP BY domain",
        )?;
        let rows = statement.query_map([], |row| {
            let counts = DomainCounts { held_out: row.get("held_out")?, training: row.get("training")? };
            Ok((domain(row)?, counts))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The held-out samples of a domain, or of all, by domain and id.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn held_out_samples(&self, domain: Option<&Domain>) -> Result<Vec<SampleRecord>, RegistryError> {
        let sql = format!(
            "{RECORDS} WHERE held_out = 1 AND (?1 IS NULL OR samples.domain = ?1) ORDER BY samples.domain, samples.id"
        );
        records(&self.lock(), &sql, [domain.map(Domain::as_str)])
    }

    /// Samples of these shapes, and of these domains where they are given, that no cycle has consumed, that are neither held
    /// out nor kept out nor set aside, at most `limit`: oldest first, and behind the others those that a candidate learned which
    /// the gate refused, the least tried first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn fresh_samples(
        &self,
        kinds: &[Kind],
        domains: Option<&BTreeSet<Domain>>,
        limit: usize,
    ) -> Result<Vec<SampleRecord>, RegistryError> {
        let (kinds, domains) = trainable(kinds, domains)?;
        let (connection, condition) = (self.lock(), format!("{TRAINABLE} AND {NOT_SET_ASIDE}"));
        let new =
            format!("{RECORDS} WHERE {condition} AND NOT {REFUSED} ORDER BY samples.arrived_ms, samples.id LIMIT ?3");
        let mut found = records(&connection, &new, (&kinds, &domains, limit))?;
        let again = format!(
            "{RECORDS} JOIN (SELECT id, sum(counts) AS since FROM tries GROUP BY id) AS tried ON tried.id = samples.id
             WHERE {condition} AND since > 0 ORDER BY since, samples.arrived_ms, samples.id LIMIT ?3"
        );
        found.extend(records(&connection, &again, (&kinds, &domains, limit - found.len()))?);
        Ok(found)
    }

    /// How many [`fresh_samples`](Self::fresh_samples) there are, and the age of the oldest: what starts a cycle.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn fresh(&self, kinds: &[Kind], domains: Option<&BTreeSet<Domain>>) -> Result<Fresh, RegistryError> {
        let connection = self.lock();
        let sql = format!(
            "SELECT count(*) AS count, min(arrived_ms) AS oldest, ifnull(sum({REFUSED}), 0) AS refused,
                 min(iif({REFUSED}, NULL, arrived_ms)) AS oldest_new
             FROM samples WHERE {TRAINABLE} AND {NOT_SET_ASIDE}"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let fresh = |row: &Row<'_>| {
            Ok(Fresh {
                count: row.get("count")?,
                refused: row.get("refused")?,
                oldest_ms: row.get("oldest")?,
                oldest_new_ms: row.get("oldest_new")?,
            })
        };
        Ok(statement.query_row(trainable(kinds, domains)?, fresh)?)
    }

    /// What may be replayed: the samples that the champion, or a predecessor that it goes back to, learned as new. What
    /// only a rejected or rolled-back adapter learned is not among them.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn replayable(&self) -> Result<Vec<SampleRecord>, RegistryError> {
        let connection = self.lock();
        let line = serde_json::to_string(&promotions::line(&connection)?)?;
        let sql = format!(
            "{RECORDS} WHERE samples.cycle IN
                 (SELECT cycle FROM candidates WHERE adapter IN (SELECT value FROM json_each(?1)))
             AND {NOT_SET_ASIDE} ORDER BY samples.id"
        );
        records(&connection, &sql, [line])
    }

    /// Training samples that are neither in the replay buffer's index nor set aside: oldest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn unindexed(&self, limit: usize) -> Result<Vec<SampleRecord>, RegistryError> {
        let sql = format!(
            "{RECORDS} WHERE held_out = 0 AND indexed = 0 AND {NOT_SET_ASIDE}
             ORDER BY samples.arrived_ms, samples.id LIMIT ?1"
        );
        records(&self.lock(), &sql, [limit])
    }

    /// Whether any sample was put into the replay buffer's index.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn has_indexed(&self) -> Result<bool, RegistryError> {
        Ok(self.lock().prepare_cached("SELECT 1 FROM samples WHERE indexed = 1")?.exists([])?)
    }

    /// How many training samples are neither in the replay buffer's index nor set aside.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn unindexed_count(&self) -> Result<u64, RegistryError> {
        let sql = format!("SELECT count(*) FROM samples WHERE held_out = 0 AND indexed = 0 AND {NOT_SET_ASIDE}");
        Ok(self.lock().query_row(&sql, [], |row| row.get(0))?)
    }

    /// All samples, counted by domain, shape and side of the split.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn sample_counts(&self) -> Result<Vec<SampleCount>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT domain, kind, held_out, count(*) AS count FROM samples
             GROUP BY domain, kind, held_out ORDER BY domain, kind, held_out",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(SampleCount {
                domain: domain(row)?,
                kind: column::named(row, "kind")?,
                held_out: row.get("held_out")?,
                count: row.get("count")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One sample of each domain and shape, of at most so many of these.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn one_of_each_shape(&self, limit: usize) -> Result<Vec<SampleRecord>, RegistryError> {
        let sql = format!(
            "{RECORDS} WHERE samples.id IN
             (SELECT max(id) FROM samples GROUP BY domain, kind ORDER BY domain, kind LIMIT ?1)
             ORDER BY samples.domain, samples.kind"
        );
        records(&self.lock(), &sql, [i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    /// The records of these samples, by id; unknown ids are left out.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn sample_records(&self, ids: &[SampleId]) -> Result<Vec<SampleRecord>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!("{RECORDS} WHERE samples.id = ?1"))?;
        let ids: BTreeSet<&SampleId> = ids.iter().collect();
        let mut paths = BTreeSet::new();
        let mut found = Vec::new();
        for id in ids {
            let mut rows = statement.query([id.0.as_bytes()])?;
            if let Some(row) = rows.next()? {
                found.push(record(row, &mut paths)?);
            }
        }
        Ok(found)
    }
}

/// The parameters of [`TRAINABLE`].
fn trainable(kinds: &[Kind], domains: Option<&BTreeSet<Domain>>) -> Result<(String, Option<String>), RegistryError> {
    Ok((serde_json::to_string(kinds)?, domains.map(serde_json::to_string).transpose()?))
}

pub(crate) fn records(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<SampleRecord>, RegistryError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut paths = BTreeSet::new();
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row, &mut paths)?);
    }
    Ok(records)
}

fn record(row: &Row<'_>, paths: &mut BTreeSet<Arc<str>>) -> rusqlite::Result<SampleRecord> {
    let path = row.get_ref("path")?.as_str()?;
    let segment = paths.get(path).cloned().unwrap_or_else(|| {
        let segment: Arc<str> = path.into();
        paths.insert(Arc::clone(&segment));
        segment
    });
    Ok(SampleRecord {
        id: column::sample_id(row, "id")?,
        segment,
        domain: domain(row)?,
        kind: column::named(row, "kind")?,
        question: column::fingerprint_optional(row, "question")?,
        indexed: row.get("indexed")?,
        arrived_ms: row.get("arrived_ms")?,
    })
}

fn domain(row: &Row<'_>) -> rusqlite::Result<Domain> {
    column::named(row, "domain")
}
