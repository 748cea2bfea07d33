//! What the daemon and the command line tell about a state directory: the same answers, whether they come over HTTP or
//! straight from the registry.

use std::collections::BTreeMap;

use anyhow::Context as _;
use perennial_registry::{Adapter, AdapterState, Cycle, CycleOutcome, Phase, Registry};
use perennial_types::{AdapterId, CycleId, Domain, Publication};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    drift::{self, Drift},
    ports::{Context, Cycles, Waiting},
    state::StateDir,
    stuck::{self, Stuck},
    telemetry::{Activity, IntakeTrouble},
    untrained::{self, Untrained},
};

/// How many cycles a list shows.
pub(crate) const CYCLES_LISTED_MAX: usize = 100;

/// How many of the samples that a cycle set aside are listed; all of them are in quarantine.
const SET_ASIDE_LISTED_MAX: usize = 1000;

/// `perennial status`, `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The program's version.
    pub(crate) version: String,
    /// The state directory.
    pub(crate) state: String,
    /// What the daemon does; `None` where none runs.
    pub(crate) activity: Option<Activity>,
    /// What keeps rows from coming in; `None` where no daemon runs.
    #[serde(default)]
    pub(crate) intake: Option<IntakeTrouble>,
    /// The adapter in service; `None` is the base model alone.
    pub(crate) champion: Option<AdapterId>,
    /// Since when, in milliseconds since the Unix epoch.
    pub(crate) champion_since_ms: Option<i64>,
    /// What keeps training from getting on, where something does.
    #[serde(default)]
    pub(crate) stuck: Option<Stuck>,
    /// Why production reads another adapter than the champion; `None` where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unpublished: Option<String>,
    /// How each target of publishing stands.
    #[serde(default)]
    pub(crate) targets: Vec<Publication>,
    /// How far what comes in is from what the champion learned.
    #[serde(default)]
    pub(crate) drift: Drift,
    /// What is likely not meant so, such as a reward plugin for domains that no sample is of.
    #[serde(default)]
    pub(crate) doubts: Vec<String>,
    /// What waits for a cycle.
    pub(crate) waiting: Waiting,
    /// Samples that wait and that no stage of training learns from, by kind.
    #[serde(default)]
    pub(crate) untrained: Vec<Untrained>,
    /// Samples that nothing can be learned from as things are.
    #[serde(default)]
    pub(crate) set_aside: u64,
    /// Training samples that wait for the replay buffer.
    pub(crate) unindexed: u64,
    /// Stored samples by domain.
    pub(crate) domains: BTreeMap<Domain, DomainSamples>,
    /// The last cycle.
    pub(crate) last_cycle: Option<CycleRow>,
}

/// A domain's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DomainSamples {
    /// To train on.
    pub(crate) training: u64,
    /// To judge with.
    pub(crate) held_out: u64,
}

/// An adapter in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AdapterRow {
    /// Its name.
    pub(crate) id: AdapterId,
    /// Where it stands.
    pub(crate) state: AdapterState,
    /// Whether somebody put it in service against or without the gate's word.
    pub(crate) forced: bool,
    /// The cycle that trained it.
    pub(crate) cycle: CycleId,
    /// The adapter it started from.
    pub(crate) parent: Option<AdapterId>,
    /// What the gate said; `None` where it was never asked.
    pub(crate) gate_passed: Option<bool>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(crate) created_ms: i64,
}

/// A cycle in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CycleRow {
    /// Its number.
    pub(crate) id: CycleId,
    /// Why it was begun.
    pub(crate) reason: String,
    /// The last phase that is done.
    pub(crate) phase: Option<Phase>,
    /// How it ended; `None` while it is under way.
    pub(crate) outcome: Option<CycleOutcome>,
    /// What it trained.
    pub(crate) candidate: Option<AdapterId>,
    /// When it was begun, in milliseconds since the Unix epoch.
    pub(crate) started_ms: i64,
    /// When it ended.
    pub(crate) finished_ms: Option<i64>,
}

/// What was asked for does not exist.
#[derive(Debug, thiserror::Error)]
#[error("there is no {0}")]
pub(crate) struct NotFound(pub(crate) String);

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

/// How a state directory stands.
///
/// # Errors
/// Where the registry fails.
pub(crate) fn status(context: &Context, cycles: &dyn Cycles, activity: Option<Activity>) -> anyhow::Result<Status> {
    let Context { state, registry, publishing, .. } = context;
    // Looked at anew, so that a command says it as well where no daemon runs.
    let targets = publishing.standings()?;
    let mut doubts = cycles.doubts()?;
    doubts.extend(publishing.forgotten(state)?);
    let mut domains: BTreeMap<Domain, DomainSamples> = BTreeMap::new();
    for count in registry.sample_counts()? {
        let samples = domains.entry(count.domain).or_default();
        if count.held_out { samples.held_out += count.count } else { samples.training += count.count }
    }
    let waiting = cycles.waiting()?;
    let stuck = stuck::find(registry, waiting, activity.as_ref())?;
    let champion = registry.champion()?;
    Ok(Status {
        stuck,
        doubts,
        untrained: untrained::waiting(&context.config.current(), registry)?,
        set_aside: registry.set_aside_count()?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: state.root().display().to_string(),
        activity,
        intake: None,
        unpublished: publishing.astray(&targets),
        targets,
        drift: drift::measure(registry)?,
        champion,
        champion_since_ms: registry.last_promotion()?.map(|(_, promotion)| promotion.at_ms),
        waiting,
        unindexed: registry.unindexed_count()?,
        domains,
        last_cycle: registry.cycles(1)?.first().map(CycleRow::from),
    })
}

/// All adapters, the newest first.
pub(crate) fn adapters(registry: &Registry) -> anyhow::Result<Vec<AdapterRow>> {
    Ok(registry.adapters()?.iter().map(AdapterRow::from).collect())
}

/// The last cycles, the newest first.
pub(crate) fn cycles(registry: &Registry) -> anyhow::Result<Vec<CycleRow>> {
    Ok(registry.cycles(CYCLES_LISTED_MAX)?.iter().map(CycleRow::from).collect())
}

/// All that is known of an adapter, and its cycle's report.
pub(crate) fn adapter(state: &StateDir, registry: &Registry, id: &AdapterId) -> anyhow::Result<Value> {
    let adapter = registry.adapter(id)?.ok_or_else(|| NotFound(format!("adapter {id}")))?;
    let report = report(state, adapter.lineage.cycle)?;
    Ok(serde_json::json!({ "adapter": adapter, "report": report }))
}

/// All that is known of a cycle, the samples that it set aside, and its report.
pub(crate) fn cycle(state: &StateDir, registry: &Registry, id: CycleId) -> anyhow::Result<Value> {
    let cycle = registry.cycle(id)?.ok_or_else(|| NotFound(format!("cycle {id}")))?;
    let set_aside = registry.set_aside_samples(Some(id), SET_ASIDE_LISTED_MAX)?;
    Ok(serde_json::json!({ "cycle": cycle, "set_aside": set_aside, "report": report(state, id)? }))
}

/// A cycle's report as Markdown; `None` before it has one.
fn report(state: &StateDir, cycle: CycleId) -> anyhow::Result<Option<String>> {
    let path = state.cycle(cycle).join("report.md");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}
