//! Old cycles' folders go once `cycle.keep` newer ones have ended, but for those that trained an adapter that is or was in
//! service. What is known of them stays in the registry.

use std::{collections::BTreeSet, fs, io};

use anyhow::Context as _;
use perennial_registry::AdapterState;
use perennial_types::CycleId;
use tracing::info;

use super::{Config, StateCycles};

pub(super) fn run(parts: &StateCycles, config: &Config) -> anyhow::Result<()> {
    let served = |state| matches!(state, AdapterState::Champion | AdapterState::Retired);
    let adapters = parts.context.registry.adapters()?.into_iter().filter(|adapter| served(adapter.state));
    let kept: BTreeSet<CycleId> = adapters.map(|adapter| adapter.lineage.cycle).collect();
    let keep = usize::try_from(config.cycle.keep).unwrap_or(usize::MAX);
    let old = parts.context.registry.cycles(usize::MAX >> 1)?.into_iter().skip(keep).map(|cycle| cycle.id);
    for cycle in old.filter(|cycle| !kept.contains(cycle)) {
        let folder = parts.context.state.cycle(cycle);
        match fs::remove_dir_all(&folder) {
            Ok(()) => info!(%cycle, "the folder of an old cycle is removed"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be removed", folder.display())),
        }
    }
    Ok(())
}
