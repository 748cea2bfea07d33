use perennial_types::Fingerprint;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::{Registry, RegistryError, column};

/// A file or batch that was taken in, for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The fingerprint of its bytes.
    pub fingerprint: Fingerprint,
    /// The file's name, or the channel it came by.
    pub name: String,
    /// The size of the file when it was read.
    pub bytes: u64,
    /// Rows that became samples.
    pub stored: u64,
    /// Rows whose sample was there already.
    pub duplicates: u64,
    /// Rows that were refused.
    pub quarantined: u64,
}

/// What the ledger knows of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The source, with the counts of the time that stored most: taken again, all its rows are duplicates.
    pub source: Source,
    /// How often it was taken in.
    pub times_taken: u64,
    /// When it was first taken in.
    pub first_ms: i64,
    /// When it was last taken in.
    pub last_ms: i64,
}

impl Registry {
    /// Notes a source as taken in, and returns how often it now has been. Taking one twice is harmless, since sample ids
    /// are stored once, and visible here.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn record_source(&self, source: &Source, at_ms: i64) -> Result<u64, RegistryError> {
        self.write(|transaction| record(transaction, source, at_ms))
    }

    /// What the ledger knows of the bytes with this fingerprint.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn source(&self, fingerprint: &Fingerprint) -> Result<Option<Taken>, RegistryError> {
        let connection: &Connection = &self.lock();
        let mut statement = connection.prepare_cached("SELECT * FROM sources WHERE fingerprint = ?1")?;
        Ok(statement.query_row([fingerprint.to_string()], taken).optional()?)
    }

    /// The whole ledger, latest first, at most `limit` entries.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn sources(&self, limit: usize) -> Result<Vec<Taken>, RegistryError> {
        let connection: &Connection = &self.lock();
        let mut statement =
            connection.prepare_cached("SELECT * FROM sources ORDER BY last_ms DESC, fingerprint LIMIT ?1")?;
        Ok(statement.query_map([limit], taken)?.collect::<Result<_, _>>()?)
    }
}

/// Notes a source as taken in, within a transaction, and returns how often it now has been.
pub(crate) fn record(transaction: &Transaction<'_>, source: &Source, at_ms: i64) -> Result<u64, RegistryError> {
    // A crash between the last segment and this row leaves the samples stored and the second run without any new ones; the
    // larger count of stored rows is the truer one.
    let mut insert = transaction.prepare_cached(
        "INSERT INTO sources VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7)
         ON CONFLICT (fingerprint) DO UPDATE SET
             name = excluded.name, times_taken = times_taken + 1, last_ms = excluded.last_ms,
             duplicates = iif(excluded.stored > stored, excluded.duplicates, duplicates),
             quarantined = iif(excluded.stored > stored, excluded.quarantined, quarantined),
             stored = max(stored, excluded.stored)
         RETURNING times_taken",
    )?;
    let Source { fingerprint, name, bytes, stored, duplicates, quarantined } = source;
    let values = params![fingerprint.to_string(), name, bytes, stored, duplicates, quarantined, at_ms];
    Ok(insert.query_row(values, |row| row.get(0))?)
}

fn taken(row: &Row<'_>) -> rusqlite::Result<Taken> {
    let source = Source {
        fingerprint: column::parsed(row, "fingerprint")?,
        name: row.get("name")?,
        bytes: row.get("bytes")?,
        stored: row.get("stored")?,
        duplicates: row.get("duplicates")?,
        quarantined: row.get("quarantined")?,
    };
    Ok(Taken {
        source,
        times_taken: row.get("times_taken")?,
        first_ms: row.get("first_ms")?,
        last_ms: row.get("last_ms")?,
    })
}
