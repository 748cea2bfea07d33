//! The new champion where production reads it, and the books brought up to date.

use std::{fs, io};

use anyhow::Context as _;
use perennial_data::mix::Origin;
use perennial_registry::Product;
use serde_json::json;

use super::{Scope, Step, learned};
use crate::{clock, replay};

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, .. } = scope;
    let champion = parts.context.publishing.publish()?;
    mark_buffer(scope)?;
    remove_checkpoints(scope)?;
    parts.context.registry.record_phase(
        cycle.id,
        Product::Published,
        &json!({ "champion": champion }),
        clock::now_ms(),
    )?;
    Ok(Step::Done)
}

/// Notes in the replay buffer what the champion learned. Told twice after a crash, it counts once.
fn mark_buffer(scope: &Scope<'_>) -> anyhow::Result<()> {
    let Scope { parts, cycle, folder, .. } = scope;
    let mut seen = learned::seen(folder)?;
    let mut of = |origin| seen.remove(&origin).unwrap_or_default();
    let (new, replayed) = (of(Origin::New), of(Origin::Replay));
    let _turn = parts.buffer.hold();
    let Some(buffer) = replay::find(&parts.context)? else { return Ok(()) };
    let runtime = &parts.context.runtime;
    runtime.block_on(buffer.mark_trained(cycle.id, &new))?;
    runtime.block_on(buffer.mark_replayed(cycle.id, &replayed))?;
    Ok(())
}

/// They are large, and of no use once the adapter is stored.
fn remove_checkpoints(scope: &Scope<'_>) -> anyhow::Result<()> {
    let path = scope.folder.checkpoints();
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}
