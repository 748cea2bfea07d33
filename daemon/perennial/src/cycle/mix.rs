//! The training set: the collected samples and a draw from the replay buffer, frozen with all that the training stage needs.

use std::collections::HashSet;

use anyhow::Context as _;
use perennial_data::mix::{self, MixConfig, Origin};
use perennial_registry::{Product, publish};
use perennial_types::{AdapterId, SampleId};
use serde_json::json;

use super::{Scope, Step, collect};
use crate::{
    clock,
    config::{self, Config, Objective, Start},
    indexer, models, replay,
    rewards::{self, Sandbox},
    stage::{GrpoStage, StageManifest},
};

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, config, folder, .. } = scope;
    let registry = &parts.context.registry;
    let model = parts.engine.model(&config.model)?;
    let parent = match config.train.start {
        Start::Champion => cycle.champion.clone(),
        Start::Fresh => None,
    };

    let new = collect::read(folder)?;
    let replayable: Vec<SampleId> = registry.replayable()?.iter().map(|record| record.id).collect();
    let candidates = {
        let _turn = parts.buffer.hold();
        let (buffer, _) = replay::open(&parts.context, registry, &config.replay, &model)?;
        parts.context.runtime.block_on(buffer.select(&replayable))?
    };
    let mix_config = MixConfig {
        samples_max: usize::try_from(config.cycle.samples_max).unwrap_or(usize::MAX),
        replay_fraction: config.replay.ratio,
        policy: config.replay.policy,
        seed: cycle.seed,
    };
    let plan = mix::plan(&mix_config, &new, &candidates);

    let ids: Vec<SampleId> = plan.order.iter().map(|(id, _)| *id).collect();
    let samples = indexer::read_samples(&parts.context.state, &registry.sample_records(&ids)?)?;
    let held_out: HashSet<SampleId> = registry.held_out_samples(None)?.iter().map(|record| record.id).collect();
    if let Some(parent) = &parent {
        copy_parent(scope, parent)?;
    }
    let stage = StageManifest {
        cycle: cycle.id,
        base: model.fingerprint,
        precision: model.decoder.precision().into(),
        base_name: models::published_name(&config.model).to_owned(),
        parent,
        train: config.train.clone(),
        grpo: config.train.has(Objective::Grpo).then(|| grpo_stage(config)),
        plugins: freeze_plugins(scope)?,
    };
    let manifest = mix::freeze(folder.path(), &plan, &samples, &held_out, stage.fields()?)?;

    let (new, replayed) = (plan.ids(Origin::New).len(), plan.ids(Origin::Replay).len());
    let detail = json!({ "new": new, "replay": replayed, "domains": manifest.domains });
    registry.record_phase(cycle.id, Product::Mixed { mix: manifest.fingerprint }, &detail, clock::now_ms())?;
    Ok(Step::Done)
}

fn grpo_stage(config: &Config) -> GrpoStage {
    let sandbox = config::Reward { plugin: Vec::new(), ..config.reward.clone() };
    GrpoStage { config: config.grpo.clone(), rollout: config.rollout.clone(), sandbox }
}

/// A plugin that is changed while the cycle runs changes the next one.
fn freeze_plugins(scope: &Scope<'_>) -> anyhow::Result<Vec<rewards::FrozenPlugin>> {
    let Scope { parts, config, folder, .. } = scope;
    if config.reward.plugin.is_empty() {
        return Ok(Vec::new());
    }
    let sandbox = Sandbox::open(&config.reward, Some(&parts.context.state.plugin_cache()))?;
    rewards::freeze(&sandbox, &config.reward, folder)
}

/// The folder is all that the training stage may look at, so the parent is put into it.
fn copy_parent(scope: &Scope<'_>, parent: &AdapterId) -> anyhow::Result<()> {
    let adapters = scope.parts.context.state.adapters();
    let known =
        scope.parts.context.registry.adapter(parent)?.with_context(|| format!("there is no adapter {parent}"))?;
    publish::verify_adapter(&adapters, &known.files)?;
    let to = scope.folder.parent();
    if !to.exists() {
        publish::copy_adapter(&adapters.join(parent.as_str()), &to)?;
    }
    Ok(())
}
