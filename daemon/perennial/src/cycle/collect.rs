//! Which new samples the cycle trains on: fixed here, so that what arrives meanwhile waits for the next one.

use std::fs;

use anyhow::{Context as _, bail};
use perennial_data::mix::NewSample;
use perennial_durable as durable;
use perennial_registry::Product;
use perennial_types::SampleId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CycleFolder, Scope, Step, drift, leaks, notes};
use crate::{clock, failure::Final};

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
    parts.indexer.fill(stop)?;
    if stop.is_set() {
        return Ok(Step::Stopped);
    }
    drift::note(scope)?;
    let samples_max = usize::try_from(config.cycle.samples_max).unwrap_or(usize::MAX);
    let (kinds, domains) = (config.trained_kinds(), config.trained_domains());
    let asked = leaks::Asked::of(scope)?;
    let fresh = leaks::fresh(scope, &asked, &kinds, domains.as_ref(), samples_max)?;
    let kept_out = parts.context.registry.kept_out(Some(cycle.id))?;
    if fresh.is_empty() {
        let reason = match kept_out.len() {
            0 => "no new samples waited when the cycle began to collect them".to_owned(),
            kept => format!("no new samples are left to train on: all {kept} that waited ask what a suite asks"),
        };
        bail!(Final::new(reason, "nothing: the next cycle begins when there are some"));
    }
    notes::write(folder, "1-collect", &leaks::told(&asked, &kept_out, "new samples"))?;
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
    let sample = |CollectedSample { id, arrived_ms }| NewSample { id, arrived_ms, tokens: None };
    Ok(collected.new.into_iter().map(sample).collect())
}
