//! What the daemon and the command line tell about a state directory: the same answers, whether they come over HTTP or
//! straight from the registry.

use std::collections::BTreeMap;

use anyhow::Context as _;
use perennial_registry::Registry;
use perennial_types::{AdapterId, CycleId, Domain};

use crate::{
    answers::{Activity, AdapterRow, AdapterShown, CycleRow, CycleShown, DomainSamples, Drift, NotFound, Status},
    base_answers, drift, pin,
    ports::{Context, Cycles},
    state::StateDir,
    stuck, untrained,
};

/// How many cycles a list shows.
pub(crate) const CYCLES_LISTED_MAX: usize = 100;

/// How many of the samples that a cycle set aside are listed; all of them are in quarantine.
const SET_ASIDE_LISTED_MAX: usize = 1000;

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
        // What champions keep is told by `perennial drift`.
        drift: Drift { retention: None, ..drift::last(state)? },
        champion,
        anchor: context.config.current().gate.anchor.enabled.then(|| pin::anchor(registry)).transpose()?,
        champion_since_ms: registry.last_promotion()?.map(|(_, promotion)| promotion.at_ms),
        held: cycles.held()?,
        waiting,
        base_answers: base_answers::standing(state)?,
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
pub(crate) fn adapter(state: &StateDir, registry: &Registry, id: &AdapterId) -> anyhow::Result<AdapterShown> {
    let adapter = registry.adapter(id)?.ok_or_else(|| NotFound(format!("adapter {id}")))?;
    let report = report(state, adapter.lineage.cycle)?;
    Ok(AdapterShown { adapter, report })
}

/// All that is known of a cycle, the samples that it set aside, and its report.
pub(crate) fn cycle(state: &StateDir, registry: &Registry, id: CycleId) -> anyhow::Result<CycleShown> {
    let cycle = registry.cycle(id)?.ok_or_else(|| NotFound(format!("cycle {id}")))?;
    let set_aside = registry.set_aside_samples(Some(id), SET_ASIDE_LISTED_MAX)?;
    Ok(CycleShown { cycle, set_aside, report: report(state, id)? })
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
