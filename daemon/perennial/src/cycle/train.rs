//! The candidate: the training stage over the cycle's folder, its result stored under its own name.

use anyhow::Context as _;
use perennial_registry::{NewAdapter, Product, publish};
use perennial_types::AdapterId;
use serde_json::{Value, json};

use super::{Scope, Step};
use crate::{
    clock,
    stage::{self, StageEnd, StageManifest},
};

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, config, folder, stop } = scope;
    let model = parts.engine.model_in(&config.model, stage::precision_of(folder)?)?;
    let telemetry = &parts.context.telemetry;
    let trained = match stage::run(folder, &model, stop, telemetry, Some(&parts.context.state.plugin_cache()))? {
        StageEnd::Stopped => return Ok(Step::Stopped),
        StageEnd::Trained(trained) => trained,
    };
    let files = publish::store_adapter(&parts.context.state.adapters(), &folder.candidate())?;
    let adapter = NewAdapter {
        files,
        parent: trained.manifest.parent.clone(),
        base: model.fingerprint,
        mix: cycle.mix.with_context(|| format!("cycle {} has no mix", cycle.id))?,
        config: lineage_of(&trained.manifest)?,
        seed: cycle.seed,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let detail = json!({
        "adapter": AdapterId::of(&files),
        "steps": trained.steps(),
        "trained": trained.trained,
        "skipped": trained.skipped,
    });
    parts.context.registry.record_phase(cycle.id, Product::Trained(&adapter), &detail, clock::now_ms())?;
    Ok(Step::Done)
}

/// What the adapter was trained with, as the lineage keeps it: the plugins by hash, version and hash of their configuration.
fn lineage_of(manifest: &StageManifest) -> anyhow::Result<Value> {
    let mut config = json!({ "train": manifest.train });
    if let Some(grpo) = &manifest.grpo {
        config["grpo"] = serde_json::to_value(grpo)?;
        config["plugins"] = serde_json::to_value(&manifest.plugins)?;
    }
    Ok(config)
}
