//! Adapters that the gate rejected keep their files while they are among the latest `cycle.adapters_keep`.

use std::fs;

use anyhow::Context as _;
use perennial_registry::{Adapter, AdapterState};
use perennial_types::AdapterId;
use tracing::info;

use super::sizes;
use crate::{config::Config, pin, ports::Context};

/// How the name of a folder begins that is on its way out: a crash never leaves half of one under an adapter's own name.
const LEAVING: &str = ".leaving-";

pub(super) fn prune(context: &Context, config: &Config) -> anyhow::Result<usize> {
    let folder = context.state.adapters();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(LEAVING) {
            sizes::remove(&entry.path())?;
        }
    }
    let keep = usize::try_from(config.cycle.adapters_keep).unwrap_or(usize::MAX);
    let mut removed = 0;
    let anchor = pin::anchor(&context.registry)?.adapter;
    for adapter in beyond(&context.registry.adapters()?, anchor.as_ref(), keep) {
        let from = context.state.adapter(&adapter.id);
        if !from.exists() {
            continue;
        }
        let to = folder.join(format!("{LEAVING}{}", adapter.id));
        fs::rename(&from, &to).with_context(|| from.display().to_string())?;
        sizes::remove(&to)?;
        info!(adapter = %adapter.id, "the files of an old rejected adapter are removed");
        removed += 1;
    }
    Ok(removed)
}

/// The rejected ones behind the latest `keep`, which come first. What was ever put in service by hand is not among them, nor
/// is the anchor.
fn beyond<'a>(
    adapters: &'a [Adapter],
    anchor: Option<&'a AdapterId>,
    keep: usize,
) -> impl Iterator<Item = &'a Adapter> {
    let may_go = move |adapter: &&Adapter| {
        adapter.state == AdapterState::Rejected && !adapter.forced && Some(&adapter.id) != anchor
    };
    adapters.iter().filter(may_go).skip(keep)
}
