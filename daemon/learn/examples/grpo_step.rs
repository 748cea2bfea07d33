//! Seconds of a GRPO step, rollouts and all: `grpo_step --model M [--steps 3] [--prompts 2] [--generations 8] [--new-tokens 64]`.
//!
//! The reward is the share of one letter, which costs nothing. Nothing ends a completion but its length. The first step is
//! not counted.

mod common;

use std::{process, time::Instant};

use common::{Arguments, Failure};
use perennial_learn::{
    adapter::Adapter,
    model::Model,
    rollout::{ActivationMemory, Rollout, RolloutOptions, rollouts},
    train::{
        Past, StopFlag, TrainConfig,
        grpo::{Environment, EnvironmentError, GrpoConfig, GrpoPrompt, ScoredGroup, train_grpo},
    },
};
use perennial_types::Fingerprint;
use serde_json::{Value, json};

fn main() -> Result<(), Failure> {
    common::run(&["steps", "prompts", "generations", "new-tokens"], measure)
}

/// Answers by the model itself, worth the share of the letter e in them.
struct Letters<'a> {
    model: &'a Model,
    prompts: &'a [GrpoPrompt],
    options: RolloutOptions,
}

impl Environment for Letters<'_> {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(b"the share of the letter e")
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
        let drawn = rollouts(self.model, Some(adapter), &tokens, &options, &StopFlag::new(), &mut |_, _| {})?;
        let group = |group: &[Rollout]| ScoredGroup {
            completions: group.iter().map(Into::into).collect(),
            rewards: group.iter().map(|rollout| Some(share_of_e(&rollout.text))).collect(),
        };
        Ok(Some(drawn.chunks(self.options.num_generations).map(group).collect()))
    }
}

fn share_of_e(text: &str) -> f64 {
    text.matches('e').count() as f64 / text.len().max(1) as f64
}

fn measure(arguments: &Arguments) -> Result<Value, Failure> {
    let steps = arguments.number("steps", 3)?;
    let prompts_per_step = arguments.number("prompts", 2)?;
    let num_generations = arguments.number("generations", 8)?;
    let max_completion_tokens = arguments.number("new-tokens", 64)?;
    let model = common::endless(arguments.model()?)?;
    let prompts = common::prompts(&model, prompts_per_step * steps)?;
    let prompts: Vec<GrpoPrompt> = prompts.into_iter().map(|tokens| GrpoPrompt { tokens }).collect();
    let config = GrpoConfig {
        prompts_per_step,
        num_generations,
        max_completion_length: max_completion_tokens,
        ..GrpoConfig::default()
    };
    let train = TrainConfig { checkpoint_interval_steps: u64::MAX, ..TrainConfig::default() };
    let options = RolloutOptions {
        num_generations,
        max_completion_tokens,
        batch_max: prompts_per_step * num_generations,
        ..RolloutOptions::default()
    };
    let mut environment = Letters { model: &model, prompts: &prompts, options };
    let dir = std::env::temp_dir().join(format!("grpo-step-{}", process::id()));
    let (mut seconds, mut rollout_seconds, mut start) = (Vec::new(), Vec::new(), Instant::now());
    let outcome = train_grpo(
        &model,
        None,
        None,
        Past::default(),
        &prompts,
        &config,
        &train,
        &dir,
        &StopFlag::new(),
        &mut environment,
        &mut |step| {
            seconds.push(start.elapsed().as_secs_f64());
            rollout_seconds.push(step.rollout_seconds);
            start = Instant::now();
        },
    );
    std::fs::remove_dir_all(&dir)?;
    outcome?;
    let counted =
        seconds.get(1..).filter(|counted| !counted.is_empty()).ok_or("at least 2 steps: the first is not counted")?;
    Ok(json!({
        "step_seconds_median": common::median(counted.to_vec()),
        "rollout_seconds_median": common::median(rollout_seconds[1..].to_vec()),
        "step_seconds": seconds,
    }))
}
