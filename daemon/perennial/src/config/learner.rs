//! The sections as the learner takes them: what training is given, and what is checked before it is.

use perennial_learn::{
    rollout::RolloutOptions,
    train::{TrainConfig, grpo::GrpoConfig},
};

use super::{Rollout, Train};

/// The warm-up of a run that goes on from an adapter, as a share of its steps. AdamW knows nothing of the gradients yet, so its first
/// step moves every number by the whole rate in whatever direction the first batch says: what a fresh adapter does not mind, and
/// one that has learned does.
const WARMUP_RATIO_GOING_ON: f64 = 0.1;

impl Train {
    /// What is common to all objectives, for a run that goes on from an adapter or begins a fresh one.
    pub(crate) fn learner_going_on(&self, seed: u64, goes_on: bool) -> TrainConfig {
        let by_itself = goes_on && self.warmup_ratio.is_none();
        let learner = self.learner(seed);
        match by_itself {
            true => TrainConfig { warmup_ratio: WARMUP_RATIO_GOING_ON, warmup_yields: true, ..learner },
            false => learner,
        }
    }

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
            schedule: self.schedule,
            warmup_ratio: self.warmup_ratio.unwrap_or(0.0),
            weight_decay: self.weight_decay,
            gradient_norm_max: self.max_grad_norm,
            checkpoint_interval_steps: self.checkpoint_steps,
            ema_decay: self.ema_decay,
            eval_steps: self.eval_steps,
            early_stopping_patience: self.early_stopping_patience,
            load_best_model_at_end: self.load_best_model_at_end,
            penalty: self.penalty.clone(),
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
