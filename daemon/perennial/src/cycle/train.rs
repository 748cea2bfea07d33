//! The candidate: the training stage over the cycle's folder, its result stored under its own name.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use perennial_data::mix::{self, Origin};
use perennial_registry::{NewAdapter, Product, store};
use perennial_types::{AdapterId, SampleId};
use serde_json::{Value, json};

use super::{Scope, Step, learned};
use crate::{
    clock, set_aside,
    stage::{self, Idle, Reasons, StageEnd, StageManifest},
};

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, config, folder, stop } = scope;
    let model = parts.engine.model_in(&config.model, stage::precision_of(folder)?)?;
    let telemetry = &parts.context.telemetry;
    let trained = match stage::run(folder, &model, stop, telemetry, Some(&parts.context.state.plugin_cache()))? {
        StageEnd::Stopped => return Ok(Step::Stopped),
        StageEnd::Idle(Idle { why, skipped }) => {
            set_aside_new(scope, skipped)?;
            bail!(why);
        }
        StageEnd::Trained(trained) => *trained,
    };
    let skipped = trained.skipped.len();
    set_aside_new(scope, trained.skipped.clone())?;
    let files = store::store_adapter(&parts.context.state.adapters(), &folder.candidate())?;
    let adapter = NewAdapter {
        files,
        parent: trained.manifest.parent.clone(),
        base: model.fingerprint,
        mix: cycle.mix.with_context(|| format!("cycle {} has no mix", cycle.id))?,
        config: lineage_of(&trained.manifest)?,
        seed: cycle.seed,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    // First: what was not learned must not be taken for learned, whenever the process ends.
    learned::keep_unseen(folder, &trained.unseen)?;
    let mut notes = trained.notes.clone();
    notes.extend(learned::unseen_told(scope)?);
    let detail = json!({
        "adapter": AdapterId::of(&files),
        "steps": trained.steps(),
        "trained": trained.trained,
        "skipped": skipped,
        "orthogonal": trained.orthogonal,
        "consolidation": trained.consolidation,
        "interpolation": trained.interpolation,
        "spectrum": trained.spectrum,
        "notes": notes,
    });
    parts.context.registry.record_phase(cycle.id, Product::Trained(&adapter), &detail, clock::now_ms())?;
    Ok(Step::Done)
}

/// Takes the new samples that nothing can be learned from out of the queue, or the next cycle would come to them again.
/// Those that were replayed were learned from before, and may be again.
fn set_aside_new(scope: &Scope<'_>, mut skipped: Reasons) -> anyhow::Result<()> {
    if skipped.is_empty() {
        return Ok(());
    }
    let (_, rows) = mix::read_mix(scope.folder.path())?;
    let new: BTreeSet<SampleId> =
        rows.into_iter().filter(|row| row.origin == Origin::New).map(|row| row.sample.id).collect();
    skipped.retain(|id, _| new.contains(id));
    set_aside::run(&scope.parts.context, &skipped, Some(scope.cycle.id))
}

/// What the adapter was trained with beside its mix, as the lineage keeps it: the plugins by hash, version and hash of their
/// configuration.
fn lineage_of(manifest: &StageManifest) -> anyhow::Result<Value> {
    let mut config = json!({ "train": manifest.train, "prompt_as_chat": manifest.prompt_as_chat });
    if let Some(shares) = &manifest.shares {
        config["shares"] = serde_json::to_value(shares)?;
    }
    if let Some(consolidation) = &manifest.consolidation {
        config["consolidation"] = serde_json::to_value(consolidation)?;
    }
    if let Some(grpo) = &manifest.grpo {
        config["grpo"] = serde_json::to_value(grpo)?;
        config["plugins"] = serde_json::to_value(&manifest.plugins)?;
    }
    Ok(config)
}
