//! The sections as the learner takes them: what training is given, and what is checked before it is.

use perennial_learn::{
    rollout::RolloutOptions,
    train::{self, TrainConfig, grpo::GrpoConfig},
};

use super::{Rollout, Schedule, Train};

impl Train {
    /// What is common to all objectives.
    pub(crate) fn learner(&self, seed: u64) -> TrainConfig {
        TrainConfig {
            lora: self.lora(),
            seed,
            batch_size: self.batch_size,
            tokens_per_micro_batch: self.micro_batch_tokens,
            device: self.device.into(),
            memory_bytes_max: self.memory_bytes_max,
            epochs: self.epochs,
            steps_max: self.steps_max,
            learning_rate: self.learning_rate,
            schedule: match self.schedule {
                Schedule::Linear => train::Schedule::Linear,
                Schedule::Cosine => train::Schedule::Cosine,
                Schedule::Constant => train::Schedule::Constant,
            },
            warmup_ratio: self.warmup_ratio,
            weight_decay: self.weight_decay,
            gradient_norm_max: self.max_grad_norm,
            checkpoint_interval_steps: self.checkpoint_steps,
            ..TrainConfig::default()
        }
    }

    /// The key of this section that the learner calls so.
    pub(super) fn key(learners: &str) -> &str {
        match learners {
            "tokens_per_micro_batch" => "micro_batch_tokens",
            "gradient_norm_max" => "max_grad_norm",
            "checkpoint_interval_steps" => "checkpoint_steps",
            own => own,
        }
    }
}

impl Rollout {
    /// How completions are drawn here.
    pub(crate) fn options(&self, grpo: &GrpoConfig) -> RolloutOptions {
        RolloutOptions {
            num_generations: grpo.num_generations,
            max_completion_tokens: grpo.max_completion_length,
            temperature: grpo.temperature as f32,
            top_p: self.top_p as f32,
            top_k: self.top_k,
            min_p: self.min_p as f32,
            stop: self.stop.clone(),
            batch_max: self.batch_max,
            ..RolloutOptions::default()
        }
    }

    /// The key, with its section, that the learner calls so.
    pub(super) fn key(learners: &str) -> String {
        match learners {
            "top_p" | "top_k" | "min_p" | "stop" | "batch_max" => format!("rollout.{learners}"),
            "max_completion_tokens" | "max_new_tokens" => "grpo.max_completion_length".to_owned(),
            other => format!("grpo.{other}"),
        }
    }
}
