//! The champion and the changes that made it so, as they are recorded.

use perennial_types::{AdapterId, CycleId};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use crate::{RegistryError, column};

/// Why the champion changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromotionReason {
    /// A candidate passed the gate.
    Passed,
    /// Someone promoted it by hand.
    Forced,
    /// Someone went back.
    Rollback,
}

impl PromotionReason {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Forced => "forced",
            Self::Rollback => "rollback",
        }
    }
}

/// One change of the champion. `None` stands for the base model without an adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promotion {
    /// When it became the champion, in milliseconds since 1970.
    pub at_ms: i64,
    /// The champion before.
    pub from: Option<AdapterId>,
    /// The champion after.
    pub to: Option<AdapterId>,
    /// Whether the gate, a person or a rollback made it so.
    pub reason: PromotionReason,
    /// The cycle whose candidate passed; only there.
    pub cycle: Option<CycleId>,
    /// What whoever forced it said; only there.
    pub note: Option<String>,
}

/// The adapter in service; `None` where the base model is in service without one.
pub(crate) fn champion(connection: &Connection) -> Result<Option<AdapterId>, RegistryError> {
    let sql = "SELECT adapter FROM champion";
    Ok(connection.query_row(sql, [], |row| column::parsed_optional(row, "adapter"))?)
}

/// The champion's line: the adapters that rolling back would go through, the champion last. Empty for the base model.
pub(crate) fn line(connection: &Connection) -> Result<Vec<AdapterId>, RegistryError> {
    let mut line = Vec::new();
    for promotion in all(connection)? {
        if promotion.reason == PromotionReason::Rollback {
            // The champion itself goes first: it may be in the line twice, and going back never stays where it is.
            line.pop();
            let kept = line.iter().rposition(|earlier| Some(earlier) == promotion.to.as_ref());
            line.truncate(kept.map_or(0, |last| last + 1));
        } else {
            line.extend(promotion.to);
        }
    }
    Ok(line)
}

/// Every change of the champion, oldest first.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Promotion>, RegistryError> {
    let mut statement = connection.prepare_cached("SELECT * FROM promotions ORDER BY number")?;
    Ok(statement.query_map([], of_row)?.collect::<Result<_, _>>()?)
}

pub(crate) fn of_row(row: &Row<'_>) -> rusqlite::Result<Promotion> {
    Ok(Promotion {
        at_ms: row.get("at_ms")?,
        from: column::parsed_optional(row, "from_adapter")?,
        to: column::parsed_optional(row, "to_adapter")?,
        reason: column::named(row, "reason")?,
        cycle: row.get::<_, Option<u64>>("cycle")?.map(CycleId),
        note: row.get("note")?,
    })
}
