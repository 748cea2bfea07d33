//! The candidate: the training stage over the cycle's folder, its result stored under its own name.

use anyhow::Context as _;
use perennial_registry::{NewAdapter, Product, publish};
use perennial_types::AdapterId;
use serde_json::json;

use super::{Scope, Step};
use crate::{
    clock,
    stage::{self, StageEnd},
};

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, config, folder, stop } = scope;
    let model = parts.engine.model(&config.model)?;
    let trained = match stage::run(folder, &model, stop, &parts.context.telemetry)? {
        StageEnd::Stopped => return Ok(Step::Stopped),
        StageEnd::Trained(trained) => trained,
    };
    let files = publish::store_adapter(&parts.context.state.adapters(), &folder.candidate())?;
    let adapter = NewAdapter {
        files,
        parent: trained.manifest.parent,
        base: model.fingerprint,
        mix: cycle.mix.with_context(|| format!("cycle {} has no mix", cycle.id))?,
        config: serde_json::to_value(&config.train)?,
        seed: cycle.seed,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let detail = json!({
        "adapter": AdapterId::of(&files),
        "steps": trained.steps,
        "loss": trained.loss,
        "skipped": trained.skipped,
    });
    parts.context.registry.record_phase(cycle.id, Product::Trained(&adapter), &detail, clock::now_ms())?;
    Ok(Step::Done)
}
