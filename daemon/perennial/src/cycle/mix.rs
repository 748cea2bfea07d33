//! The training set: the collected samples and a draw from the replay buffer, frozen with all that the training stage needs.

use std::collections::BTreeSet;

use perennial_data::{
    mix::{self, MixPlan, NewSample, Origin},
    replay::{ReplayRow, Signals, Space},
};
use perennial_registry::{Product, SampleRecord};
use perennial_types::SampleId;
use serde_json::json;

use super::{Scope, Step, collect, copied, draw, leaks, losses, notes, ratio, slow, twins};
use crate::{
    base_answers::{self, BaseAnswer, Wanted},
    clock,
    config::{self, Config, Start},
    models,
    rewards::{self, GrpoStage, Sandbox},
    stage::{LossShares, StageManifest},
    stored,
};

/// How much less of the base model's answers than configured is told, as a part of it.
const LESS_TOLD: f64 = 0.1;

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, config, folder, stop } = scope;
    let registry = &parts.context.registry;
    let model = parts.engine.model(&config.model)?;
    let parent = match config.train.start {
        Start::Champion | Start::Rebase => cycle.champion.clone(),
        Start::Fresh => None,
    };

    let asked = leaks::Asked::of(scope)?;
    let (replayable, leaking): (Vec<SampleRecord>, Vec<SampleRecord>) =
        registry.replayable()?.into_iter().partition(|record| asked.by(record).is_none());
    let mut told = leaks::told(&asked, &leaking, "samples that could be replayed");
    let new = new_samples(scope, &asked)?;
    if replayable.iter().any(|record| !record.indexed) {
        parts.indexer.fill(stop)?;
    }
    let replayable: Vec<SampleId> = replayable.iter().map(|record| record.id).collect();
    // A stop may have come before the buffer was full.
    if stop.is_set() {
        return Ok(Step::Stopped);
    }
    let missing = registry.sample_records(&replayable)?.iter().filter(|record| !record.indexed).count();
    told.extend(buffer_not_full(missing, replayable.len()));
    let ratio = ratio::of(&config.replay, registry)?;
    let (draft, space) = draw::draft(scope, new, &replayable, ratio)?;
    let wanted = Wanted {
        tokens: draft.base_answer_tokens(),
        length: &|row| draft.tokens_of(row),
        is_asked: &|question| asked.asks(question),
        seed: cycle.seed,
    };
    let Some(answers) = base_answers::chosen(&parts.context, &model, config, &wanted, stop)? else {
        return Ok(Step::Stopped);
    };
    let Some(losses) = losses::of(scope, &model, &draft)? else { return Ok(Step::Stopped) };
    told.extend(losses.told(replayable.len()));
    let rises = losses.rises();
    let signals = Signals { space: space.as_ref().map(|space| space as &dyn Space), loss_rises: Some(&rises) };
    let answer_rows: Vec<ReplayRow> = answers.iter().map(|answer| answer.row.clone()).collect();
    let answered: u64 = answer_rows.iter().map(|row| draft.tokens_of(row)).sum();
    told.extend(with_base_answers(answers.len(), answered, draft.base_answer_tokens()));
    let mut plan = draft.plan(&answer_rows, signals);
    let held_out = registry.held_out_samples(None)?;
    let apart = asked.apart(held_out.iter().map(|record| record.id).collect());
    told.extend(twins::keep_out(scope, &model, &mut plan, held_out)?);
    if stop.is_set() {
        return Ok(Step::Stopped);
    }

    let ids: Vec<SampleId> = plan.order.iter().map(|(id, _)| *id).collect();
    let mut samples = stored::read_samples(&parts.context.state, &registry.sample_records(&ids)?)?;
    for BaseAnswer { sample, .. } in answers {
        // A sample of the same words that came in is itself.
        samples.entry(sample.id).or_insert(sample);
    }
    if let Some(parent) = &parent {
        copied::parent(scope, parent)?;
    }
    let slow::Turn { consolidation, told: of_time_scales } = slow::turn(scope, model.fingerprint)?;
    told.extend(of_time_scales);
    if let Some(slow) = consolidation.iter().find_map(|consolidation| consolidation.slow.as_ref()) {
        copied::slow(scope, slow)?;
    }
    let stage = StageManifest {
        cycle: cycle.id,
        base: model.fingerprint,
        precision: model.decoder.precision().into(),
        base_name: models::published_name(&config.model).to_owned(),
        parent,
        prompt_as_chat: config.ingest.prompt_as_chat,
        train: config.train.clone(),
        shares: Some(shares(config, ratio)),
        stages: config.stages(),
        consolidation,
        grpo: config.learns_from_rewards().then(|| grpo_stage(config)),
        plugins: freeze_plugins(scope)?,
    };
    let manifest = mix::freeze(folder.path(), &plan, &samples, &apart, stage.fields()?)?;

    told.extend(too_little_replay(&plan, replayable.len()));
    notes::write(folder, "2-mix", &told)?;
    let detail = json!({ "new": manifest.new, "replay": manifest.replay, "base_answers": manifest.base_answers, "domains": manifest.domains });
    registry.record_phase(cycle.id, Product::Mixed { mix: manifest.fingerprint }, &detail, clock::now_ms())?;
    Ok(Step::Done)
}

/// The samples that were collected, but for one whose twin was held out at the very time: it waits, and is kept out next time.
fn new_samples(scope: &Scope<'_>, asked: &leaks::Asked) -> anyhow::Result<Vec<NewSample>> {
    let new = collect::read(&scope.folder)?;
    let ids: Vec<SampleId> = new.iter().map(|sample| sample.id).collect();
    let records = scope.parts.context.registry.sample_records(&ids)?;
    let leaking: BTreeSet<SampleId> =
        records.iter().filter(|record| asked.by(record).is_some()).map(|record| record.id).collect();
    Ok(new.into_iter().filter(|sample| !leaking.contains(&sample.id)).collect())
}

fn buffer_not_full(missing: usize, replayable: usize) -> Option<String> {
    (missing > 0).then(|| {
        format!(
            "The mix was drawn while the replay buffer was not full: {missing} of {replayable} samples that may be \
             replayed were not in it."
        )
    })
}

/// Less replay than configured forgets more than configured. Nothing to replay at all, in the first cycles, is no news.
fn too_little_replay(plan: &MixPlan, replayable: usize) -> Option<String> {
    let (wanted, drawn) = (plan.replay_tokens_wanted, plan.replay_tokens());
    (replayable > 0 && plan.is_short).then(|| {
        let samples = plan.ids(Origin::Replay).len();
        format!(
            "{samples} samples of {drawn} tokens are replayed in this mix, where replay.ratio of {} asks for {wanted} tokens: \
             no more were in the buffer that may be replayed.",
            plan.replay_fraction
        )
    })
}

/// So many answers of so many tokens, where so many were wanted.
fn with_base_answers(answers: usize, tokens: u64, wanted: f64) -> Option<String> {
    if wanted < 1.0 {
        return None;
    }
    let short = (tokens as f64) < wanted * (1.0 - LESS_TOLD);
    let short = short.then(|| {
        format!(
            ": {tokens} tokens, where the ratio asks for {wanted:.0}; more prompts in replay.base_answers.file would give more"
        )
    });
    Some(format!(
        "{answers} answers of the base model itself are in the mix (replay.base_answers), so that what it knew is kept{}.",
        short.unwrap_or_default()
    ))
}

/// What the mix was drawn by, in the loss as well.
fn shares(config: &Config, replay: f64) -> LossShares {
    let base_answers = base_answers::fraction(config);
    LossShares { new: 1.0 - replay - base_answers, replay, base_answers }
}

fn grpo_stage(config: &Config) -> GrpoStage {
    let sandbox = config::Reward { plugin: Vec::new(), ..config.reward.clone() };
    GrpoStage { config: config.grpo(), rollout: config.rollout.clone(), sandbox }
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
