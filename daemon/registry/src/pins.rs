use perennial_types::{AdapterId, CycleId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::{Registry, RegistryError, column};

/// Why the anchor changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinReason {
    /// Somebody accepted it.
    Hand,
    /// A new champion was shown to be better than the anchor before.
    Test,
}

/// What candidates are held against beside the champion, from a time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// When it was pinned, in milliseconds since 1970.
    pub at_ms: i64,
    /// The anchor; `None` is the base model without an adapter.
    pub adapter: Option<AdapterId>,
    /// Whether a person or the gate's strict test pinned it.
    pub reason: PinReason,
    /// The cycle whose candidate passed the test; only there.
    pub cycle: Option<CycleId>,
    /// What whoever pinned it said; only there.
    pub note: Option<String>,
}

impl Registry {
    /// The anchor; `None` where nobody pinned one yet, and the base model stands in for it.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn pinned(&self) -> Result<Option<Pin>, RegistryError> {
        let sql = "SELECT * FROM pins ORDER BY number DESC LIMIT 1";
        Ok(self.lock().query_row(sql, [], pin_of).optional()?)
    }

    /// Every anchor that was pinned, oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn pins(&self) -> Result<Vec<Pin>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT * FROM pins ORDER BY number")?;
        Ok(statement.query_map([], pin_of)?.collect::<Result<_, _>>()?)
    }

    /// Pins an anchor by hand; `None` is the base model.
    ///
    /// # Errors
    /// Where there is no such adapter.
    pub fn pin(&self, adapter: Option<&AdapterId>, note: &str, at_ms: i64) -> Result<(), RegistryError> {
        self.write(|transaction| {
            if let Some(adapter) = adapter
                && !transaction.prepare_cached("SELECT 1 FROM adapters WHERE id = ?1")?.exists([adapter.as_str()])?
            {
                return Err(RegistryError::UnknownAdapter(adapter.clone()));
            }
            transaction.execute(
                "INSERT INTO pins (at_ms, adapter, reason, note) VALUES (?1, ?2, 'hand', ?3)",
                params![at_ms, adapter.map(AdapterId::as_str), note],
            )?;
            Ok(())
        })
    }
}

/// Pins what passed the test, in the transaction of the decision that promotes it.
pub(crate) fn by_test(
    connection: &Connection,
    adapter: &AdapterId,
    cycle: CycleId,
    at_ms: i64,
) -> Result<(), RegistryError> {
    connection.execute(
        "INSERT INTO pins (at_ms, adapter, reason, cycle) VALUES (?1, ?2, 'test', ?3)",
        params![at_ms, adapter.as_str(), cycle.0],
    )?;
    Ok(())
}

fn pin_of(row: &Row<'_>) -> rusqlite::Result<Pin> {
    Ok(Pin {
        at_ms: row.get("at_ms")?,
        adapter: column::parsed_optional(row, "adapter")?,
        reason: column::named(row, "reason")?,
        cycle: row.get::<_, Option<u64>>("cycle")?.map(CycleId),
        note: row.get("note")?,
    })
}
