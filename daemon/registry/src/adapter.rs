use std::collections::BTreeMap;

use perennial_types::{AdapterId, CycleId, Fingerprint};
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Registry, RegistryError, column, column::Seed};

/// Where an adapter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterState {
    /// Trained, not decided on.
    Candidate,
    /// In service.
    Champion,
    /// Was in service.
    Retired,
    /// Never was in service.
    Rejected,
}

impl AdapterState {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Champion => "champion",
            Self::Retired => "retired",
            Self::Rejected => "rejected",
        }
    }
}

/// What the gate said, and on what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateRecord {
    /// Under the policy of its cycle; a person may have promoted it all the same.
    pub passed: bool,
    /// The fingerprints of the suites, by name.
    pub suites: BTreeMap<String, Fingerprint>,
    /// The reasons, as the report has them.
    pub reasons: Value,
}

/// What an adapter was made of, and what the gate said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lineage {
    /// The cycle that trained it.
    pub cycle: CycleId,
    /// The adapter whose weights it started from.
    pub parent: Option<AdapterId>,
    /// The fingerprint of the base model's weights.
    pub base: Fingerprint,
    /// Of the rows that it was trained on, in their order.
    pub mix: Fingerprint,
    /// The training configuration.
    pub config: Value,
    /// The training seed.
    pub seed: u64,
    /// The version of the program that trained it.
    pub code_version: String,
    /// The gate's word; `None` before it has spoken, or where the cycle was called off.
    pub gate: Option<GateRecord>,
}

/// An adapter in the registry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Adapter {
    /// Also the name of its folder in `adapters/`.
    pub id: AdapterId,
    /// The fingerprint of its files, which its folder must have.
    pub files: Fingerprint,
    /// Where it stands.
    pub state: AdapterState,
    /// Whether it was ever made champion against, or without, the gate's word.
    pub forced: bool,
    /// When it was first trained.
    pub created_ms: i64,
    /// Its lineage; where two cycles trained the same bytes, the later one's.
    pub lineage: Lineage,
}

const ADAPTERS: &str = "SELECT adapters.*, candidates.*, decisions.passed, decisions.suites, decisions.reasons,
        EXISTS (SELECT 1 FROM promotions WHERE to_adapter = adapters.id AND reason = 'forced') AS forced
    FROM adapters
    JOIN candidates ON candidates.cycle = (SELECT max(cycle) FROM candidates WHERE adapter = adapters.id)
    LEFT JOIN decisions ON decisions.cycle = candidates.cycle";

impl Registry {
    /// Every adapter, latest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn adapters(&self) -> Result<Vec<Adapter>, RegistryError> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached(&format!("{ADAPTERS} ORDER BY candidates.cycle DESC, adapters.id"))?;
        Ok(statement.query_map([], adapter)?.collect::<Result<_, _>>()?)
    }

    /// An adapter; `None` where there is none of this name.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn adapter(&self, id: &AdapterId) -> Result<Option<Adapter>, RegistryError> {
        read(&self.lock(), id)
    }
}

fn read(connection: &Connection, id: &AdapterId) -> Result<Option<Adapter>, RegistryError> {
    let mut statement = connection.prepare_cached(&format!("{ADAPTERS} WHERE adapters.id = ?1"))?;
    Ok(statement.query_row([id.as_str()], adapter).optional()?)
}

fn adapter(row: &Row<'_>) -> rusqlite::Result<Adapter> {
    let gate = match row.get("passed")? {
        None => None,
        Some(passed) => {
            Some(GateRecord { passed, suites: column::json(row, "suites")?, reasons: column::json(row, "reasons")? })
        }
    };
    let lineage = Lineage {
        cycle: column::cycle_id(row, "cycle")?,
        parent: column::parsed_optional(row, "parent")?,
        base: column::parsed(row, "base")?,
        mix: column::parsed(row, "mix")?,
        config: column::json(row, "config")?,
        seed: row.get::<_, Seed>("seed")?.0,
        code_version: row.get("code_version")?,
        gate,
    };
    Ok(Adapter {
        id: column::parsed(row, "id")?,
        files: column::parsed(row, "files")?,
        state: column::named(row, "state")?,
        forced: row.get("forced")?,
        created_ms: row.get("created_ms")?,
        lineage,
    })
}
