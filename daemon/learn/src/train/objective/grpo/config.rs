use serde::{Deserialize, Serialize};

use super::{LossType, SamplingCorrection, ScaleRewards};
use crate::train::{TrainConfig, TrainError};

/// What one importance weight belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportanceSamplingLevel {
    /// Each token has its own.
    Token,
    /// A completion: the geometric mean over its tokens (GSPO, arXiv 2507.18071).
    Sequence,
}

impl ImportanceSamplingLevel {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Sequence => "sequence",
        }
    }
}

/// What a reward is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// The mean of the group.
    Grpo,
    /// The mean of the others in the group: leave-one-out (RLOO, arXiv 2402.14740).
    Rloo,
}

impl Estimator {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::Rloo => "rloo",
        }
    }
}

/// How to learn from rewards. Names and defaults are those of TRL 1.16's `GRPOConfig`, but for the learning rate, which is
/// for LoRA.
///
/// The length of the run and its learning rate stand here; everything else about optimisation (adapter, seed, schedule,
/// AdamW, clipping, micro-batches, checkpoints) comes from [`TrainConfig`], whose `batch_size`, `epochs`, `steps_max` and
/// `learning_rate` are not looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpoConfig {
    /// The highest learning rate. Default 1e-5.
    pub learning_rate: f64,
    /// Times that every prompt is drawn. Default 1. Rounded up to whole generations.
    pub epochs: f64,
    /// Stop after so many optimiser steps. The schedule ends there.
    pub steps_max: Option<u64>,
    /// Prompts per optimiser step; a generation has this many for each of its steps. Default 4.
    pub prompts_per_step: usize,
    /// Completions per prompt: a group. Default 8.
    pub num_generations: usize,
    /// The most tokens that a completion can have; what [`LossType::DrGrpo`] divides by. Default 512.
    pub max_completion_length: usize,
    /// Divides the logits, both where completions are drawn and where they are learned from. Default 1.
    pub temperature: f64,
    /// Optimiser steps that the completions of one generation are shared out among. Default 1.
    pub steps_per_generation: u64,
    /// Times that the completions of one generation are gone through. Default 1.
    pub num_iterations: u64,
    /// How the loss of a batch is summed up over tokens and sequences; default `dapo`, as in TRL.
    pub loss_type: LossType,
    /// What a ratio of probabilities is taken of; default `token`.
    pub importance_sampling_level: ImportanceSamplingLevel,
    /// How far an importance weight may fall below 1 before it is clipped. Default 0.2.
    pub epsilon: f64,
    /// How far it may rise above 1; `epsilon` where it is not set. With [`LossType::Cispo`] the greatest weight itself,
    /// which must be set (5 is usual).
    pub epsilon_high: Option<f64>,
    /// The weight of the KL divergence from the reference, by the estimator k3. Default 0: without it.
    pub beta: f64,
    /// Whether the divergence is weighted by the importance weight, which makes its gradient that of the reverse KL
    /// (arXiv 2512.02556, eq. 7). Default true.
    pub use_bias_correction_kl: bool,
    /// Whether the divergence is measured where `beta` is 0 too, which costs a forward pass. Default false.
    pub measure_kl: bool,
    /// How advantages come of rewards; default `grpo`.
    pub estimator: Estimator,
    /// What advantages are divided by; default `group`.
    pub scale_rewards: ScaleRewards,
    /// Whether completions that were cut off at the limit are left out of the loss. Default false.
    pub mask_truncated_completions: bool,
    /// How often the groups of a generation whose rewards are all equal, which teach nothing, are replaced by those of
    /// other prompts (dynamic sampling, arXiv 2503.14476). Default 0: never.
    pub dynamic_sampling_rounds_max: u32,
    /// Memory, in bytes, for what was computed to draw completions and need not be computed again to learn from them: the forward
    /// pass of the only step after a generation. It is held beside what a micro-batch keeps, and goes to the first completions,
    /// for as many as it lasts. Default 1 GiB; 0 keeps nothing.
    pub rollout_activation_bytes_max: u64,
    /// What corrects for an engine whose probabilities differ from the trainer's; default `none`.
    pub sampling_correction: SamplingCorrection,
    /// The lower bound of the correction's weights. Default 0.
    pub sampling_correction_min: f64,
    /// The upper bound of the correction's weights. Default 3.
    pub sampling_correction_max: f64,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-5,
            epochs: 1.0,
            steps_max: None,
            prompts_per_step: 4,
            num_generations: 8,
            max_completion_length: 512,
            temperature: 1.0,
            steps_per_generation: 1,
            num_iterations: 1,
            loss_type: LossType::Dapo,
            importance_sampling_level: ImportanceSamplingLevel::Token,
            epsilon: 0.2,
            epsilon_high: None,
            beta: 0.0,
            use_bias_correction_kl: true,
            measure_kl: false,
            estimator: Estimator::Grpo,
            scale_rewards: ScaleRewards::Group,
            mask_truncated_completions: false,
            dynamic_sampling_rounds_max: 0,
            rollout_activation_bytes_max: 1 << 30,
            sampling_correction: SamplingCorrection::None,
            sampling_correction_min: 0.0,
            sampling_correction_max: 3.0,
        }
    }
}

impl GrpoConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainError::Config`], which names the first key that makes no sense.
    pub fn check(&self) -> Result<(), TrainError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let unset = self.loss_type.way().rule_of_epsilon_high().filter(|_| self.epsilon_high.is_none());
        let bounds = self.sampling_correction_min <= self.sampling_correction_max;
        let checks = [
            ("learning_rate", positive(self.learning_rate), "is a positive number"),
            ("epochs", positive(self.epochs), "is a positive number"),
            ("steps_max", self.steps_max != Some(0), "is at least 1 where it is set"),
            ("prompts_per_step", self.prompts_per_step > 0, "is at least 1"),
            ("num_generations", self.num_generations > 1, "is at least 2: rewards are compared within a group"),
            ("max_completion_length", self.max_completion_length > 0, "is at least 1"),
            ("temperature", positive(self.temperature), "is a positive number"),
            ("steps_per_generation", self.steps_per_generation > 0, "is at least 1"),
            ("num_iterations", self.num_iterations > 0, "is at least 1"),
            ("epsilon", not_negative(self.epsilon), "is at least 0"),
            ("epsilon_high", self.epsilon_high.is_none_or(not_negative), "is at least 0 where it is set"),
            ("epsilon_high", unset.is_none(), unset.unwrap_or_default()),
            ("beta", not_negative(self.beta), "is at least 0"),
            ("sampling_correction_min", not_negative(self.sampling_correction_min), "is at least 0"),
            ("sampling_correction_max", positive(self.sampling_correction_max), "is a positive number"),
            ("sampling_correction_min", bounds, "is at most sampling_correction_max"),
        ];
        match checks.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, rule)) => Err(TrainError::Config { key, rule }),
            None => Ok(()),
        }
    }

    /// Those that are drawn before the steps which share them out.
    pub fn prompts_per_generation(&self) -> usize {
        self.prompts_per_step * self.steps_per_generation as usize
    }

    /// Optimiser steps per generation.
    pub(super) fn updates_per_generation(&self) -> u64 {
        self.steps_per_generation * self.num_iterations
    }

    /// Optimiser steps of a run over so many prompts.
    pub(super) fn steps(&self, prompts: usize) -> u64 {
        let generations = (prompts as f64 * self.epochs / self.prompts_per_generation() as f64).ceil() as u64;
        let steps = generations.saturating_mul(self.updates_per_generation());
        self.steps_max.map_or(steps, |max| steps.min(max))
    }

    /// The optimisation as `train` has it, with what stands here in place of what does there.
    pub(super) fn over(&self, train: &TrainConfig) -> TrainConfig {
        TrainConfig {
            batch_size: self.prompts_per_step,
            epochs: self.epochs,
            steps_max: self.steps_max,
            learning_rate: self.learning_rate,
            ..train.clone()
        }
    }

    /// Whether log-probabilities under the reference are needed.
    pub(super) fn needs_reference(&self) -> bool {
        self.beta > 0.0 || self.measure_kl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_and_senseless_values_are_named() {
        GrpoConfig::default().check().unwrap();
        let problem = |config: GrpoConfig| config.check().unwrap_err().to_string();
        assert!(problem(GrpoConfig { num_generations: 1, ..GrpoConfig::default() }).contains("num_generations"));
        assert!(problem(GrpoConfig { temperature: 0.0, ..GrpoConfig::default() }).contains("temperature"));
        assert!(problem(GrpoConfig { loss_type: LossType::Cispo, ..GrpoConfig::default() }).contains("5.0"));
        let crossed = GrpoConfig { sampling_correction_min: 4.0, ..GrpoConfig::default() };
        assert!(problem(crossed).contains("sampling_correction_max"));
    }

    #[test]
    fn keys_and_values_are_snake_case_and_unknown_ones_are_refused() {
        let parse = serde_json::from_str::<GrpoConfig>;
        let config =
            parse(r#"{"loss_type": "dr_grpo", "importance_sampling_level": "sequence", "steps_max": 7}"#).unwrap();
        assert_eq!(config.loss_type, LossType::DrGrpo);
        assert_eq!(config.importance_sampling_level, ImportanceSamplingLevel::Sequence);
        assert!(parse(r#"{"loss": "grpo"}"#).is_err());
    }

    #[test]
    fn steps_come_in_whole_generations_unless_there_is_a_limit() {
        let config =
            GrpoConfig { prompts_per_step: 2, steps_per_generation: 2, num_iterations: 3, ..GrpoConfig::default() };
        assert_eq!(config.prompts_per_generation(), 4);
        assert_eq!(config.steps(9), 3 * 6);
        assert_eq!(GrpoConfig { steps_max: Some(8), ..config }.steps(9), 8);
    }
}
