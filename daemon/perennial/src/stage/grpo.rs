//! Learning from rewards: completions drawn here, scored by the plugins that the cycle froze.

use anyhow::Context as _;
use perennial_learn::{
    adapter::Adapter,
    train::{
        self as learner, Outcome, StopFlag,
        grpo::{GrpoProgress, GrpoPrompt, train_grpo},
    },
};
use tracing::info;

use super::{ObjectiveEnd, Stage, Trained};
use crate::{
    config::Objective,
    rewards::{Journal, PluginEnvironment, Plugins, Sandbox, Server, prompts},
    telemetry::GrpoStep,
};

/// Goes on from `adapter`; the divergence is measured from `reference`, the champion, or else from the base model.
pub(super) fn run(
    stage: &Stage<'_>,
    adapter: Option<Adapter>,
    reference: Option<&Adapter>,
) -> anyhow::Result<ObjectiveEnd> {
    let Stage { folder, manifest, seed, rows, model, stop, telemetry, plugin_cache } = stage;
    let grpo = manifest.grpo.as_ref().context("the manifest does not say how to learn from rewards")?;
    let sandbox = Sandbox::open(&grpo.sandbox, *plugin_cache)?;
    let plugins = Plugins::load_frozen(sandbox, &manifest.plugins, folder)?;

    let scored = |domain: &_| plugins.optimised(domain).is_some();
    let completion_length_max = grpo.config.max_completion_length;
    let prompts = prompts::of_mix(rows, model, scored, manifest.train.max_length, completion_length_max)?;
    if prompts.is_empty() {
        info!(
            "no sample of the mix is a prompt of a domain that a reward plugin scores: nothing to learn from rewards"
        );
        return Ok(ObjectiveEnd::NothingToLearn);
    }
    let asked: Vec<GrpoPrompt> = prompts.iter().map(|prompt| GrpoPrompt { tokens: prompt.tokens.clone() }).collect();
    let train = manifest.train_config(*seed);
    let mut environment = PluginEnvironment {
        model,
        prompts: &prompts,
        plugins: &plugins,
        stage: grpo,
        server: grpo.rollout.server.as_ref().map(|server| Server::new(server, &folder.rollouts())).transpose()?,
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
        &asked,
        &grpo.config,
        &train,
        &folder.checkpoints_of(Objective::Grpo),
        &flag,
        &mut environment,
        &mut report,
    )?;
    Ok(match outcome {
        Outcome::Stopped { .. } => ObjectiveEnd::Stopped,
        Outcome::Trained(learner::Trained { adapter, steps, loss, .. }) => ObjectiveEnd::Trained {
            adapter,
            trained: Trained { objective: Objective::Grpo, steps, loss, items: asked.len() },
        },
    })
}
