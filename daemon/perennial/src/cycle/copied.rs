//! Adapters of earlier cycles, and what was kept with them, in the cycle's folder: that is all that the training stage may look at.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use perennial_durable as durable;
use perennial_registry::{Adapter, store};
use perennial_types::{AdapterId, CycleId};

use super::Scope;
use crate::cycle_folder::CycleFolder;

/// What training goes on from.
pub(super) fn parent(scope: &Scope<'_>, parent: &AdapterId) -> anyhow::Result<()> {
    let known = adapter(scope, parent, &scope.folder.parent())?;
    kept(scope, known.lineage.cycle)
}

/// The slow adapter.
pub(super) fn slow(scope: &Scope<'_>, slow: &AdapterId) -> anyhow::Result<()> {
    durable::create_folder_durably(&scope.folder.slow())?;
    adapter(scope, slow, &scope.folder.slow_of(slow)).map(drop)
}

fn adapter(scope: &Scope<'_>, id: &AdapterId, to: &Path) -> anyhow::Result<Adapter> {
    let adapters = scope.parts.context.state.adapters();
    let known = scope.parts.context.registry.adapter(id)?.with_context(|| format!("there is no adapter {id}"))?;
    store::verify_adapter(&adapters, &known.files)?;
    if !to.exists() {
        store::copy_adapter(&adapters.join(id.as_str()), to)?;
    }
    Ok(known)
}

/// What the cycle that trained the parent kept of it for the next one, where it did.
fn kept(scope: &Scope<'_>, of: CycleId) -> anyhow::Result<()> {
    let Scope { parts, config, folder, .. } = scope;
    let trained_in = CycleFolder::new(parts.context.state.cycle(of));
    if config.train.penalty.ewc.weight > 0.0 {
        copy(&trained_in.fisher(), &folder.parent_fisher())?;
    }
    if config.train.carry_optimizer {
        for objective in config.stages().iter().map(|own| own.objective.as_str()) {
            copy(&trained_in.optimizer_of(objective), &folder.parent_optimizer_of(objective))?;
        }
    }
    Ok(())
}

/// Copies a file, where it is there.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    match fs::read(from) {
        Ok(bytes) => Ok(durable::write_durably(to, &bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| from.display().to_string()),
    }
}
