use serde::{Deserialize, Serialize};

use super::{PenaltyConfig, Schedule, TrainDevice, TrainError};
use crate::adapter::LoraConfig;

/// How to train: what every objective takes alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// The shape of the adapter.
    pub lora: LoraConfig,
    /// Seeds the adapter's start and the order of the examples.
    pub seed: u64,
    /// Examples per optimiser step. Default 8; LoRA learns worse with large batches.
    pub batch_size: usize,
    /// Examples are packed into micro-batches of up to this many tokens, which bounds the memory of activations. A longer
    /// example is a micro-batch by itself. Default 1024.
    pub tokens_per_micro_batch: usize,
    /// Times that every example is seen. Default 1. A fraction ends the run within an epoch.
    pub epochs: f64,
    /// Stop after so many optimiser steps, even within an epoch. The schedule ends there.
    pub steps_max: Option<u64>,
    /// The highest learning rate. Default 2e-4: about ten times what suits full fine-tuning.
    pub learning_rate: f64,
    /// What happens to it after the warm-up. Default linear.
    pub schedule: Schedule,
    /// The share of the steps in which it rises from zero. Default 0.
    pub warmup_ratio: f64,
    /// AdamW's decoupled weight decay. Default 0.
    pub weight_decay: f64,
    /// AdamW's β₁. Default 0.9.
    pub beta1: f64,
    /// AdamW's β₂. Default 0.999.
    pub beta2: f64,
    /// AdamW's ε. Default 1e-8.
    pub epsilon: f64,
    /// Gradients whose global norm is greater are scaled down to it. Default 1.
    pub gradient_norm_max: f64,
    /// Where passes are computed. Default: on the CPU. Rounding differs between devices.
    #[serde(skip_serializing_if = "TrainDevice::is_default")]
    pub device: TrainDevice,
    /// What a micro-batch may keep for its backward pass, in bytes: beyond it layers are computed a second time. Default: no
    /// bound. Has no influence on the result. On other devices than `cpu`, every layer is computed a second time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    /// End with the exponential moving average of the parameters, with this decay, instead of the last ones. Default: no average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema_decay: Option<f64>,
    /// Whether a run of fewer than 10 steps goes without its warm-up. Default: it does not, and a single step is refused.
    #[serde(skip)]
    pub warmup_yields: bool,
    /// Optimiser steps between validations, by transformers' name. Default: validation follows each epoch. It also precedes the
    /// first step and follows the last, and there is none where there are no rows for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_steps: Option<u64>,
    /// End the run after so many validations in a row without a lower loss than before. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping_patience: Option<u64>,
    /// End with the adapter of the least validation loss instead of the last one. Default: the last.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub load_best_model_at_end: bool,
    /// What holds the run back besides its objective. Default: nothing.
    #[serde(skip_serializing_if = "PenaltyConfig::is_off")]
    pub penalty: PenaltyConfig,
    /// Optimiser steps between checkpoints. Default 20. Has no influence on the result.
    pub checkpoint_interval_steps: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            lora: LoraConfig::default(),
            seed: 0,
            batch_size: 8,
            tokens_per_micro_batch: 1024,
            epochs: 1.0,
            steps_max: None,
            learning_rate: 2e-4,
            schedule: Schedule::Linear,
            warmup_ratio: 0.0,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            gradient_norm_max: 1.0,
            device: TrainDevice::default(),
            memory_bytes_max: None,
            ema_decay: None,
            warmup_yields: false,
            eval_steps: None,
            early_stopping_patience: None,
            load_best_model_at_end: false,
            penalty: PenaltyConfig::default(),
            checkpoint_interval_steps: 20,
        }
    }
}

impl TrainConfig {
    /// What the result depends on: all but how it is computed.
    pub(super) fn determining(&self) -> Self {
        let (eval_steps, early_stopping_patience, load_best_model_at_end) = match self.is_led_by_validation() {
            true => (self.eval_steps, self.early_stopping_patience, self.load_best_model_at_end),
            false => (None, None, false),
        };
        Self {
            memory_bytes_max: None,
            checkpoint_interval_steps: 1,
            eval_steps,
            early_stopping_patience,
            load_best_model_at_end,
            ..self.clone()
        }
    }

    /// Whether validation has a say in what the run ends with.
    pub(super) fn is_led_by_validation(&self) -> bool {
        self.load_best_model_at_end || self.early_stopping_patience.is_some()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainError::Config`], which names the first key that makes no sense.
    pub fn check(&self) -> Result<(), TrainError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let share = |value: f64| (0.0..1.0).contains(&value);
        let checks = [
            ("batch_size", self.batch_size > 0, "is at least 1"),
            ("tokens_per_micro_batch", self.tokens_per_micro_batch > 0, "is at least 1"),
            ("epochs", positive(self.epochs), "is a positive number"),
            ("steps_max", self.steps_max != Some(0), "is at least 1 where it is set"),
            ("learning_rate", positive(self.learning_rate), "is a positive number"),
            ("warmup_ratio", share(self.warmup_ratio), "is at least 0 and less than 1"),
            ("weight_decay", self.weight_decay.is_finite() && self.weight_decay >= 0.0, "is at least 0"),
            ("beta1", share(self.beta1), "is at least 0 and less than 1"),
            ("beta2", share(self.beta2), "is at least 0 and less than 1"),
            ("epsilon", positive(self.epsilon), "is a positive number"),
            ("gradient_norm_max", positive(self.gradient_norm_max), "is a positive number"),
            ("ema_decay", self.ema_decay.is_none_or(share), "is at least 0 and less than 1"),
            ("eval_steps", self.eval_steps != Some(0), "is at least 1 where it is set"),
            ("early_stopping_patience", self.early_stopping_patience != Some(0), "is at least 1 where it is set"),
            ("checkpoint_interval_steps", self.checkpoint_interval_steps > 0, "is at least 1"),
        ];
        match checks.into_iter().chain(self.penalty.checks()).find(|(_, holds, _)| !holds) {
            Some((key, _, rule)) => Err(TrainError::Config { key, rule }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_and_senseless_values_are_named() {
        TrainConfig::default().check().unwrap();
        let error = TrainConfig { beta2: 1.0, ..TrainConfig::default() }.check().unwrap_err();
        assert!(error.to_string().contains("beta2"));
        assert!(TrainConfig { learning_rate: f64::NAN, ..TrainConfig::default() }.check().is_err());
        assert!(TrainConfig { steps_max: Some(0), ..TrainConfig::default() }.check().is_err());
    }
}
