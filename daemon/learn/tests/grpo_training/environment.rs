use std::path::Path;

use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    model::Model,
    rollout::{ActivationMemory, Rollout, RolloutOptions, rollouts},
    train::{
        Outcome, Past, StopFlag, TrainConfig, TrainError, Trained,
        grpo::{Environment, EnvironmentError, GrpoConfig, GrpoProgress, GrpoPrompt, ScoredGroup, train_grpo},
    },
};
use perennial_types::Fingerprint;

use crate::common::{metrics, tiny as model, trained};

/// Rewards for the completion of a prompt.
pub(crate) type Reward = fn(prompt: usize, completion: &[u32]) -> Option<f64>;

/// The share of tokens with an even id.
pub(crate) const EVEN: Reward = |_, completion| {
    let even = completion.iter().filter(|token| **token % 2 == 0).count();
    Some(even as f64 / completion.len() as f64)
};

/// The crate's own rollouts, and a reward.
pub(crate) struct Rewarded<'a> {
    pub(crate) model: &'a Model,
    pub(crate) prompts: &'a [GrpoPrompt],
    pub(crate) options: RolloutOptions,
    pub(crate) reward: Reward,
    pub(crate) stop: StopFlag,
    /// Raises the flag in the midst of this call, from 0.
    pub(crate) stop_in_call: Option<usize>,
    pub(crate) calls: usize,
}

impl Environment for Rewarded<'_> {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(format!("{:?}", self.options).as_bytes())
    }

    fn rollouts(
        &mut self,
        adapter: &Adapter,
        prompts: &[usize],
        seed: u64,
        activation_memory: &ActivationMemory,
    ) -> Result<Option<Vec<ScoredGroup>>, EnvironmentError> {
        let tokens: Vec<Vec<u32>> = prompts.iter().map(|prompt| self.prompts[*prompt].tokens.clone()).collect();
        let options = RolloutOptions { seed, activation_memory: activation_memory.clone(), ..self.options.clone() };
        if self.stop_in_call == Some(self.calls) {
            self.stop.raise();
        }
        self.calls += 1;
        let all = rollouts(self.model, Some(adapter), &tokens, &options, &self.stop, &mut |_, _| ())?;
        if self.stop.is_raised() {
            return Ok(None);
        }
        let reward = |rollout: &Rollout| (self.reward)(prompts[rollout.prompt], &rollout.tokens);
        let group = |rollouts: &[Rollout]| ScoredGroup {
            completions: rollouts.iter().map(Into::into).collect(),
            rewards: rollouts.iter().map(reward).collect(),
        };
        Ok(Some(all.chunks(options.num_generations).map(group).collect()))
    }
}

/// Prompts that the model has no settled answer to.
pub(crate) fn prompts() -> Vec<GrpoPrompt> {
    let prompt = |i: u32| (0..4 + i % 3).map(|place| 20 + (i * 37 + place * 11) % 300).collect();
    (0..10).map(|i| GrpoPrompt { tokens: prompt(i) }).collect()
}

pub(crate) fn config() -> GrpoConfig {
    GrpoConfig {
        learning_rate: 1e-2,
        prompts_per_step: 2,
        num_generations: 4,
        max_completion_length: 6,
        steps_per_generation: 2,
        num_iterations: 2,
        steps_max: Some(12),
        epochs: 9.0,
        beta: 0.02,
        ..GrpoConfig::default()
    }
}

pub(crate) fn train_config() -> TrainConfig {
    TrainConfig {
        lora: LoraConfig { r: 4, alpha: 8.0, ..LoraConfig::default() },
        seed: 5,
        tokens_per_micro_batch: 40,
        checkpoint_interval_steps: 1,
        ..TrainConfig::default()
    }
}

pub(crate) fn environment<'a>(
    model: &'a Model,
    prompts: &'a [GrpoPrompt],
    config: &GrpoConfig,
    reward: Reward,
) -> Rewarded<'a> {
    let options = RolloutOptions {
        num_generations: config.num_generations,
        max_completion_tokens: config.max_completion_length,
        temperature: config.temperature as f32,
        ..RolloutOptions::default()
    };
    Rewarded { model, prompts, options, reward, stop: StopFlag::new(), stop_in_call: None, calls: 0 }
}

pub(crate) fn run(
    dir: &Path,
    config: &GrpoConfig,
    environment: &mut Rewarded<'_>,
    on_step: &mut dyn FnMut(&GrpoProgress, &StopFlag),
) -> Result<Outcome, TrainError> {
    let (model, prompts, stop) = (environment.model, environment.prompts, environment.stop.clone());
    let on_step = &mut |progress: &GrpoProgress| on_step(progress, &stop);
    train_grpo(model, None, None, Past::default(), prompts, config, &train_config(), dir, &stop, environment, on_step)
}

pub(crate) fn finish(dir: &Path, config: &GrpoConfig, reward: Reward) -> (Trained, Vec<GrpoProgress>) {
    let (model, prompts) = (model(), prompts());
    let outcome = run(dir, config, &mut environment(&model, &prompts, config, reward), &mut |_, _| ());
    (trained(outcome), metrics(dir))
}
