//! Old cycles' folders go once `cycle.keep` newer ones have ended. Of those that trained an adapter that is or was in service
//! goes only what served their own work.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::Context as _;
use perennial_registry::AdapterState;
use perennial_types::CycleId;
use tracing::info;

use super::sizes;
use crate::{
    config::{Config, Objective},
    cycle_folder::CycleFolder,
    pin,
    ports::Context,
};

pub(super) fn prune(context: &Context, config: &Config) -> anyhow::Result<usize> {
    let served = |state| matches!(state, AdapterState::Champion | AdapterState::Retired);
    let anchor = pin::anchor(&context.registry)?.adapter;
    let adapters = context.registry.adapters()?;
    let champion = adapters.iter().find(|adapter| adapter.state == AdapterState::Champion);
    let champion = champion.map(|adapter| adapter.lineage.cycle);
    let adapters = adapters.into_iter().filter(|adapter| served(adapter.state) || Some(&adapter.id) == anchor.as_ref());
    let kept: BTreeSet<CycleId> = adapters.map(|adapter| adapter.lineage.cycle).collect();
    let keep = usize::try_from(config.cycle.keep).unwrap_or(usize::MAX);
    // The one that may be under way is the last. Before there are so many, none is old.
    let latest = context.registry.cycles(keep)?;
    let Some(oldest_kept) = latest.last().map(|cycle| cycle.id) else { return Ok(0) };
    let mut removed = 0;
    for cycle in folders(context)?.into_iter().filter(|cycle| *cycle < oldest_kept) {
        let folder = CycleFolder::new(context.state.cycle(cycle));
        let gone = match kept.contains(&cycle) {
            // The next cycle goes on from what was kept with the champion.
            true if champion == Some(cycle) => own_work(&folder),
            true => [own_work(&folder), kept_with_candidate(&folder)].concat(),
            false => vec![folder.path().to_owned()],
        };
        for path in gone.iter().filter(|path| path.exists()) {
            sizes::remove(path).with_context(|| path.display().to_string())?;
            info!(%cycle, path = %path.display(), "what an old cycle left is removed");
            removed += 1;
        }
    }
    Ok(removed)
}

/// What only the cycle itself worked with.
fn own_work(folder: &CycleFolder) -> Vec<PathBuf> {
    let of_parent = Objective::all().map(|objective| folder.parent_optimizer_of(objective.as_str()));
    let own = [folder.checkpoints(), folder.rollouts(), folder.candidate(), folder.slow(), folder.parent_fisher()];
    own.into_iter().chain(of_parent).collect()
}

/// What a cycle that goes on from the candidate works with.
fn kept_with_candidate(folder: &CycleFolder) -> Vec<PathBuf> {
    let of_candidate = Objective::all().map(|objective| folder.optimizer_of(objective.as_str()));
    std::iter::once(folder.fisher()).chain(of_candidate).collect()
}

/// The cycles that have a folder, in order.
fn folders(context: &Context) -> anyhow::Result<BTreeSet<CycleId>> {
    let folder = context.state.cycles();
    let listed = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let names = listed.filter_map(Result::ok).map(|entry| entry.file_name());
    Ok(names.filter_map(|name| name.to_str()?.parse().ok()).collect())
}
