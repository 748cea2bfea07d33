//! What several parts ask of samples.

use std::collections::BTreeSet;

use perennial_types::SampleId;
use rusqlite::Connection;

use crate::RegistryError;

/// A condition on a row of `samples`: it may be learned from, and nothing in the champion's line has.
pub(crate) const FRESH: &str = "held_out = 0 AND samples.cycle IS NULL AND kept_out IS NULL
    AND NOT EXISTS (SELECT 1 FROM set_aside WHERE set_aside.id = samples.id)";

/// Those of these samples for whose id the query finds a row.
pub(crate) fn among(connection: &Connection, sql: &str, ids: &[SampleId]) -> Result<BTreeSet<SampleId>, RegistryError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = BTreeSet::new();
    for id in ids {
        if statement.exists([id.0.as_bytes()])? {
            found.insert(*id);
        }
    }
    Ok(found)
}
