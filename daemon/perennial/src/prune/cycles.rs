//! Old cycles' folders go once `cycle.keep` newer ones have ended. Of those that trained an adapter that is or was in service
//! goes only what served their own work.

use std::collections::BTreeSet;

use anyhow::Context as _;
use perennial_registry::AdapterState;
use perennial_types::CycleId;
use tracing::info;

use super::sizes;
use crate::{config::Config, cycle::CycleFolder, ports::Context};

pub(super) fn prune(context: &Context, config: &Config) -> anyhow::Result<usize> {
    let served = |state| matches!(state, AdapterState::Champion | AdapterState::Retired);
    let adapters = context.registry.adapters()?.into_iter().filter(|adapter| served(adapter.state));
    let kept: BTreeSet<CycleId> = adapters.map(|adapter| adapter.lineage.cycle).collect();
    let keep = usize::try_from(config.cycle.keep).unwrap_or(usize::MAX);
    let old = context.registry.cycles(usize::MAX >> 1)?.into_iter().skip(keep);
    let mut removed = 0;
    for cycle in old.filter(|cycle| cycle.finished_ms.is_some()).map(|cycle| cycle.id) {
        let folder = CycleFolder::new(context.state.cycle(cycle));
        let gone = match kept.contains(&cycle) {
            true => vec![folder.checkpoints(), folder.rollouts(), folder.candidate()],
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
