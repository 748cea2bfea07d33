//! Cycles and adapters.

use perennial_registry::{Adapter, AdapterState, Cycle, CycleOutcome, Phase, SetAsideRecord};
use perennial_types::{AdapterId, CycleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;

/// An adapter in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AdapterRow {
    /// Its name.
    #[schema(value_type = schemas::AdapterId)]
    pub(crate) id: AdapterId,
    /// Where it stands.
    #[schema(value_type = schemas::AdapterState)]
    pub(crate) state: AdapterState,
    /// Whether somebody put it in service against or without the gate's word.
    pub(crate) forced: bool,
    /// The cycle that trained it.
    #[schema(value_type = schemas::CycleId)]
    pub(crate) cycle: CycleId,
    /// The adapter it started from.
    #[schema(value_type = Option<schemas::AdapterId>)]
    pub(crate) parent: Option<AdapterId>,
    /// What the gate said; `None` where it was never asked.
    pub(crate) gate_passed: Option<bool>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(crate) created_ms: i64,
}

/// A cycle in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct CycleRow {
    /// Its number.
    #[schema(value_type = schemas::CycleId)]
    pub(crate) id: CycleId,
    /// Why it was begun.
    pub(crate) reason: String,
    /// The last phase that is done.
    #[schema(value_type = Option<schemas::Phase>)]
    pub(crate) phase: Option<Phase>,
    /// How it ended; `None` while it is under way.
    #[schema(value_type = Option<schemas::CycleOutcome>)]
    pub(crate) outcome: Option<CycleOutcome>,
    /// What it trained.
    #[schema(value_type = Option<schemas::AdapterId>)]
    pub(crate) candidate: Option<AdapterId>,
    /// When it was begun, in milliseconds since the Unix epoch.
    pub(crate) started_ms: i64,
    /// When it ended.
    pub(crate) finished_ms: Option<i64>,
}

/// All that is known of an adapter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AdapterShown {
    /// What the registry says of it.
    #[schema(value_type = schemas::Adapter)]
    pub(crate) adapter: Adapter,
    /// Its cycle's report as Markdown; `None` where there is none.
    pub(crate) report: Option<String>,
}

/// All that is known of a cycle.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CycleShown {
    /// What the registry says of it.
    #[schema(value_type = schemas::Cycle)]
    pub(crate) cycle: Cycle,
    /// The first of the samples that it set aside; all of them are in quarantine.
    #[schema(value_type = Vec<schemas::quarantine::SetAsideRecord>)]
    pub(crate) set_aside: Vec<SetAsideRecord>,
    /// Its report as Markdown; `None` before it has one.
    pub(crate) report: Option<String>,
}

/// How a run of a cycle ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CycleEnd {
    /// The candidate is the champion now.
    Promoted(AdapterId),
    /// The gate refused the candidate; it is kept with its report.
    Rejected(AdapterId),
    /// It could not succeed; its samples wait for the next cycle.
    Failed {
        /// What broke.
        reason: String,
        /// How to mend it.
        remedy: String,
    },
    /// Somebody called it off; its samples wait for the next cycle.
    Aborted {
        /// Why.
        reason: String,
    },
    /// Told to stop; goes on when it is run again.
    Stopped,
    /// The candidate passed the gate and waits for a person's word.
    Held(AdapterId),
}

/// A candidate that passed the gate and waits for a person's word (`promotion.hold`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Held {
    /// Its cycle.
    #[schema(value_type = schemas::CycleId)]
    pub(crate) cycle: CycleId,
    /// The candidate.
    #[schema(value_type = schemas::AdapterId)]
    pub(crate) adapter: AdapterId,
    /// Since when, in milliseconds since the Unix epoch.
    pub(crate) since_ms: i64,
    /// When it is declined where nobody says anything.
    pub(crate) until_ms: i64,
}

impl From<&Adapter> for AdapterRow {
    fn from(adapter: &Adapter) -> Self {
        Self {
            id: adapter.id.clone(),
            state: adapter.state,
            forced: adapter.forced,
            cycle: adapter.lineage.cycle,
            parent: adapter.lineage.parent.clone(),
            gate_passed: adapter.lineage.gate.as_ref().map(|gate| gate.passed),
            created_ms: adapter.created_ms,
        }
    }
}

impl From<&Cycle> for CycleRow {
    fn from(cycle: &Cycle) -> Self {
        Self {
            id: cycle.id,
            reason: cycle.reason.clone(),
            phase: cycle.phase(),
            outcome: cycle.outcome.clone(),
            candidate: cycle.candidate.clone(),
            started_ms: cycle.started_ms,
            finished_ms: cycle.finished_ms,
        }
    }
}
