//! Learning from rewards: completions drawn here, scored by the plugins that the cycle froze.

use std::collections::BTreeSet;

use anyhow::Context as _;
use perennial_data::mix::MixRow;
use perennial_learn::{
    adapter::Adapter,
    train::{
        self as learner, Outcome, StopFlag,
        grpo::{GrpoProgress, GrpoPrompt, train_grpo},
    },
};
use perennial_types::Domain;
use serde_json::Value;

use super::{Lessons, ObjectiveEnd, Stage, StageManifest, Trained};
use crate::{
    config::TrainStage,
    cycle_folder::CycleFolder,
    failure::Final,
    rewards::{
        History, Journal, PluginEnvironment, Plugins, Sandbox,
        prompts::{self, MixPrompts},
        runners,
    },
    telemetry::{GrpoStep, Told},
};

/// Goes on from `adapter`; the divergence is measured from `reference`, the champion, or else from the base model.
pub(super) fn run(
    stage: &Stage<'_>,
    own: &TrainStage,
    adapter: Option<Adapter>,
    reference: Option<&Adapter>,
) -> anyhow::Result<ObjectiveEnd> {
    let Stage { folder, manifest, rows, model, stop, telemetry, plugin_cache, .. } = stage;
    let objective = own.objective;
    let grpo = manifest.grpo.as_ref().context("the manifest does not say how to learn from rewards")?;
    let sandbox = Sandbox::open(&grpo.sandbox, *plugin_cache)?;
    let plugins = Plugins::load_frozen(sandbox, &manifest.plugins, folder)?;

    let scored = |domain: &_| plugins.optimised(domain).is_some();
    let completion_length_max = grpo.config.max_completion_length;
    let MixPrompts { asked: prompts, samples, skipped } =
        prompts::of_mix(rows, model, scored, manifest.train.max_length, completion_length_max);
    if prompts.is_empty() {
        let lessons = Lessons { skipped, ..Lessons::default() };
        return Ok(ObjectiveEnd::NothingToLearn { why: nothing_to_ask(rows, manifest, &lessons), lessons });
    }
    let asked: Vec<GrpoPrompt> = prompts.iter().map(|prompt| GrpoPrompt { tokens: prompt.tokens.clone() }).collect();
    let train = stage.learner();
    let mut environment = PluginEnvironment {
        model,
        prompts: &prompts,
        plugins: &plugins,
        stage: grpo,
        runner: runners::open(&grpo.rollout, &folder.rollouts())?,
        base_name: &manifest.base_name,
        journal: Journal::open(&folder.rewards())?,
        stop,
        telemetry,
    };
    let flag = StopFlag::from(stop.flag());
    let mut report = |progress: &GrpoProgress| telemetry.emit(GrpoStep(progress));
    let outcome = train_grpo(
        model,
        adapter,
        reference,
        stage.past_of(objective),
        &asked,
        &grpo.config,
        &train,
        &folder.checkpoints_of(objective.as_str()),
        &flag,
        &mut environment,
        &mut report,
    )?;
    Ok(match outcome {
        Outcome::Stopped { .. } => ObjectiveEnd::Stopped,
        Outcome::Trained(learner::Trained { adapter, optimizer, steps, loss, learned, seen, .. }) => {
            let lessons = Lessons::of(&samples, &seen, skipped);
            let trained = Box::new(Trained {
                objective,
                steps,
                loss,
                items: asked.len(),
                learned,
                told: Told::default(),
                notes: Vec::new(),
                validation: Value::Null,
            });
            if learned {
                return Ok(ObjectiveEnd::Trained { adapter, trained, optimizer, lessons, idle: None });
            }
            // What nothing was learned from waits for other plugins or another model, out of the way of what comes after it.
            let why = without_signal(folder)?;
            let skipped = lessons.learned_from.into_iter().map(|id| (id, why.reason.clone())).chain(lessons.skipped);
            let lessons = Lessons { skipped: skipped.collect(), unseen: lessons.unseen, ..Lessons::default() };
            ObjectiveEnd::Trained { adapter, trained, optimizer, lessons, idle: Some(why) }
        }
    })
}

/// Why nothing was asked: plugins and samples name different domains, or no prompt leaves room for an answer.
fn nothing_to_ask(rows: &[MixRow], manifest: &StageManifest, lessons: &Lessons) -> Final {
    if let Some(first) = lessons.skipped.values().next() {
        let reason = format!("none of {} prompts can be asked; the first: {first}", lessons.skipped.len());
        return Final::new(reason, "raise train.max_length, or lower grpo.max_completion_length");
    }
    let there: BTreeSet<&Domain> = rows.iter().map(|row| &row.sample.domain).collect();
    let plugins = manifest.plugins.iter().filter(|frozen| frozen.plugin.weight != 0.0);
    let scored: BTreeSet<&Domain> = plugins.flat_map(|frozen| &frozen.plugin.domains).collect();
    let reason = format!(
        "no sample is a prompt of a domain that a reward plugin scores: plugins score {}, the samples are of {}",
        listed(scored),
        listed(there)
    );
    Final::new(reason, "set the domains of [[reward.plugin]] to those of the samples")
}

/// Why a run that asked and scored learned nothing.
fn without_signal(folder: &CycleFolder) -> anyhow::Result<Final> {
    let shares = History::read(folder)?.map(|history| history.shares()).unwrap_or_default();
    let reason = format!("no reward plugin told one answer from another in any group: {shares}");
    let remedy = "let the plugins score these prompts and tell answers apart (references, domains, weights), raise \
                  grpo.max_completion_length where answers are cut off, then `perennial requeue` the cycle";
    Ok(Final::new(reason, remedy))
}

fn listed<'a>(domains: impl IntoIterator<Item = &'a Domain>) -> String {
    let names: Vec<&str> = domains.into_iter().map(Domain::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
