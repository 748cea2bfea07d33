//! Which new samples the cycle trains on: fixed here, so that what arrives meanwhile waits for the next one.

use std::fs;

use anyhow::{Context as _, bail};
use perennial_data::{durable, mix::NewSample};
use perennial_registry::Product;
use perennial_types::{Kind, SampleId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CycleFolder, Scope, Step};
use crate::{
    clock,
    config::{self, Objective},
    ports::Indexer,
};

/// The shapes that the objectives learn from. The others are stored and wait.
pub(crate) fn trained_kinds(train: &config::Train) -> Vec<Kind> {
    let learns = |kind: &Kind| match kind {
        Kind::Messages | Kind::PromptCompletion => true,
        Kind::Text => train.has(Objective::Sft),
        Kind::PromptOnly => train.has(Objective::Grpo),
        Kind::Preference => false,
    };
    Kind::ALL.into_iter().filter(learns).collect()
}

/// `collected.json`
#[derive(Serialize, Deserialize)]
struct Collected {
    new: Vec<CollectedSample>,
}

#[derive(Serialize, Deserialize)]
struct CollectedSample {
    id: SampleId,
    arrived_ms: i64,
}

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, config, folder, stop } = scope;
    // All that may be replayed has to be in the buffer before it is drawn from, or a crash would change the draw.
    parts.indexer.index(stop)?;
    if stop.is_set() {
        return Ok(Step::Stopped);
    }
    let samples_max = usize::try_from(config.cycle.samples_max).unwrap_or(usize::MAX);
    let fresh = parts.context.registry.fresh_samples(&trained_kinds(&config.train), samples_max)?;
    if fresh.is_empty() {
        let reason = "no new samples waited when the cycle began to collect them";
        parts.context.registry.abort_cycle(cycle.id, reason, clock::now_ms())?;
        bail!(reason);
    }
    let new = fresh.iter().map(|record| CollectedSample { id: record.id, arrived_ms: record.arrived_ms }).collect();
    durable::write_durably(&folder.collected(), &serde_json::to_vec(&Collected { new })?)?;
    let detail = json!({ "new": fresh.len() });
    parts.context.registry.record_phase(cycle.id, Product::Collected, &detail, clock::now_ms())?;
    Ok(Step::Done)
}

/// The samples that were collected.
pub(super) fn read(folder: &CycleFolder) -> anyhow::Result<Vec<NewSample>> {
    let path = folder.collected();
    let json = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let collected: Collected = serde_json::from_slice(&json).with_context(|| format!("{}", path.display()))?;
    Ok(collected.new.into_iter().map(|sample| NewSample { id: sample.id, arrived_ms: sample.arrived_ms }).collect())
}
