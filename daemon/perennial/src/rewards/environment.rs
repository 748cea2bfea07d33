//! Completions drawn with the adapter under training, scored by the plugins while others are still being drawn.

use std::{collections::BTreeMap, num::NonZeroUsize};

use anyhow::Context as _;
use perennial_learn::{
    adapter::Adapter,
    model::Model,
    rollout::ActivationMemory,
    train::{
        StopFlag,
        grpo::{Environment, EnvironmentError, ScoredGroup},
    },
};
use perennial_reward::{self as reward, GroupVerdict, Judged, Panel, Pool, Statistics, Task, check_fault_ratio};
use perennial_types::{Domain, Fingerprint, Fingerprinter};

use super::{
    Journal, Plugins,
    journal::{Entry, TimeOut},
    prompts::RewardPrompt,
    runners::{Drawn, Request, Runner},
};
use crate::{
    ports::Stop,
    rewards::GrpoStage,
    telemetry::{RewardBounds, RewardsGiven, Telemetry},
};

/// The world that a candidate learns in.
pub(crate) struct PluginEnvironment<'a> {
    /// The base.
    pub(crate) model: &'a Model,
    /// What is asked.
    pub(crate) prompts: &'a [RewardPrompt],
    /// Who scores.
    pub(crate) plugins: &'a Plugins,
    /// How completions are drawn, and what the plugins may take.
    pub(crate) stage: &'a GrpoStage,
    /// Who draws.
    pub(crate) runner: Box<dyn Runner>,
    /// The base model's name, for a runner that is handed the adapter as a folder.
    pub(crate) base_name: &'a str,
    /// Where it is kept what the plugins say.
    pub(crate) journal: Journal,
    /// Told where the work is to stop.
    pub(crate) stop: &'a Stop,
    /// Told what the plugins say.
    pub(crate) telemetry: &'a Telemetry,
}

impl Environment for PluginEnvironment<'_> {
    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprinter = Fingerprinter::new();
        for (configured, plugin) in self.plugins.iter() {
            let identity = plugin.identity();
            fingerprinter.add(identity.hash.as_bytes());
            fingerprinter.add(identity.config_hash.as_bytes());
            fingerprinter.add(&configured.weight.to_le_bytes());
            fingerprinter.add(&configured.fuel_per_sample.unwrap_or(self.stage.sandbox.fuel_per_sample).to_le_bytes());
        }
        for prompt in self.prompts {
            fingerprinter.add(prompt.domain.as_str().as_bytes());
            // A task is strings and JSON values with string keys, which always serialize; `Debug` would tell it as well.
            let task = serde_json::to_vec(&prompt.task).unwrap_or_else(|_| format!("{:?}", prompt.task).into_bytes());
            fingerprinter.add(&task);
        }
        fingerprinter.add(format!("{:?}", self.stage.rollout).as_bytes());
        fingerprinter.finish()
    }

    fn rollouts(
        &mut self,
        adapter: &Adapter,
        prompts: &[usize],
        seed: u64,
        activation_memory: &ActivationMemory,
    ) -> Result<Option<Vec<ScoredGroup>>, EnvironmentError> {
        let asked: Vec<(&RewardPrompt, Panel)> = prompts
            .iter()
            .enumerate()
            .map(|(group, at)| self.with_panel(&self.prompts[*at], seed, group))
            .collect::<anyhow::Result<_>>()?;
        let stop = StopFlag::from(self.stop.flag());
        let threads = NonZeroUsize::new(self.stage.sandbox.threads).unwrap_or(NonZeroUsize::MIN);
        let (drawn, judged) = reward::pool(threads, |pool| self.draw(adapter, &asked, seed, activation_memory, pool));
        // With a context, for what is below it keeps its type.
        let (drawn, judged) = (drawn.context("no completions to learn from")?, judged?);
        let Some(drawn) = drawn.filter(|_| !stop.is_raised()) else { return Ok(None) };
        self.account(seed, &asked, &judged)?;
        let groups = drawn.into_iter().zip(judged);
        Ok(Some(groups.map(|(group, judged)| scored(group, judged.verdict)).collect()))
    }
}

impl PluginEnvironment<'_> {
    /// Who judges a group. A call that met the deadline when this generation was drawn before does so again: what was
    /// learned then is learned now, whatever the machine does meanwhile.
    fn with_panel<'p>(
        &self,
        prompt: &'p RewardPrompt,
        seed: u64,
        group: usize,
    ) -> anyhow::Result<(&'p RewardPrompt, Panel)> {
        let panel = self.plugins.optimised(&prompt.domain);
        let mut panel = panel.with_context(|| format!("no plugin scores domain {}", prompt.domain))?;
        for member in &mut panel.members {
            member.timed_out = self.journal.timed_out(seed, group, member.plugin.name()).map(str::to_owned);
        }
        Ok((prompt, panel))
    }

    /// A group per prompt, in their order, each handed to the pool as soon as it is whole; `None` where the work is to stop.
    fn draw(
        &self,
        adapter: &Adapter,
        asked: &[(&RewardPrompt, Panel)],
        seed: u64,
        activation_memory: &ActivationMemory,
        pool: &Pool,
    ) -> anyhow::Result<Option<Vec<Vec<Drawn>>>> {
        let prompts: Vec<Vec<u32>> = asked.iter().map(|(prompt, _)| prompt.tokens.clone()).collect();
        let on_group = |at: usize, group: &[Drawn]| {
            self.telemetry.beat();
            let (prompt, panel) = &asked[at];
            pool.submit(at, panel, task(prompt, group));
        };
        let Self { model: learner, stage, base_name, stop, .. } = *self;
        let (config, rollout) = (&stage.config, &stage.rollout);
        let prompts = &prompts;
        let request = Request { config, rollout, adapter, base_name, learner, prompts, seed, activation_memory, stop };
        self.runner.draw(&request, &on_group)
    }

    /// Writes down what the plugins said, and ends the run where one of them failed too often.
    fn account(
        &mut self,
        seed: u64,
        asked: &[(&RewardPrompt, Panel)],
        judged: &[Judged],
    ) -> Result<(), EnvironmentError> {
        let mut statistics = Statistics::default();
        let mut by_domain: BTreeMap<&Domain, Vec<&Judged>> = BTreeMap::new();
        let mut timed_out = Vec::new();
        for (group, ((prompt, panel), judged)) in asked.iter().zip(judged).enumerate() {
            statistics.add(panel, &judged.verdict);
            timed_out.extend(judged.verdict.time_outs().map(|(member, message)| TimeOut {
                group,
                plugin: panel.members[member].plugin.name().to_owned(),
                message: message.to_owned(),
            }));
            by_domain.entry(&prompt.domain).or_default().push(judged);
        }
        self.telemetry.emit(RewardsGiven { statistics: &statistics });
        for member in asked.iter().flat_map(|(_, panel)| &panel.members) {
            let (plugin, declared) = (member.plugin.name(), member.plugin.descriptor());
            self.telemetry.emit(RewardBounds { plugin, min: declared.min, max: declared.max });
        }
        self.journal.append(&Entry { seed, statistics, timed_out })?;
        for judged in by_domain.values() {
            let groups: Vec<_> = judged.iter().map(|judged| (&judged.task, &judged.verdict)).collect();
            check_fault_ratio(&judged[0].panel, &groups, self.stage.sandbox.max_fault_ratio)?;
        }
        Ok(())
    }
}

fn task(prompt: &RewardPrompt, group: &[Drawn]) -> Task {
    let sample = |(at, drawn): (usize, &Drawn)| reward::Completion { id: at.to_string(), text: drawn.text.clone() };
    Task { samples: group.iter().enumerate().map(sample).collect(), ..prompt.task.clone() }
}

fn scored(group: Vec<Drawn>, verdict: GroupVerdict) -> ScoredGroup {
    let completions = group.into_iter().map(|drawn| drawn.completion).collect();
    ScoredGroup { completions, rewards: verdict.rewards }
}
