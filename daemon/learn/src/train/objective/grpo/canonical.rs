use super::{Estimator, GrpoConfig, ImportanceSamplingLevel, LossType, SamplingCorrection, ScaleRewards};
use crate::train::canonical::Canonical;

impl GrpoConfig {
    /// Every key but those that stand in the optimisation as well.
    pub(super) fn write(&self, canonical: &mut Canonical) {
        let Self {
            learning_rate: _,
            epochs: _,
            steps_max: _,
            prompts_per_step: _,
            num_generations,
            max_completion_length,
            temperature,
            steps_per_generation,
            num_iterations,
            loss_type,
            importance_sampling_level,
            epsilon,
            epsilon_high,
            beta,
            use_bias_correction_kl,
            measure_kl,
            estimator,
            scale_rewards,
            mask_truncated_completions,
            dynamic_sampling_rounds_max,
            rollout_activation_bytes_max,
            sampling_correction,
            sampling_correction_min,
            sampling_correction_max,
        } = self;
        canonical.count("num_generations", *num_generations as u64);
        canonical.count("max_completion_length", *max_completion_length as u64);
        canonical.real("temperature", *temperature);
        canonical.count("steps_per_generation", *steps_per_generation);
        canonical.count("num_iterations", *num_iterations);
        let loss_type = match loss_type {
            LossType::Grpo => "grpo",
            LossType::Bnpo => "bnpo",
            LossType::Dapo => "dapo",
            LossType::DrGrpo => "dr_grpo",
            LossType::Cispo => "cispo",
        };
        canonical.word("loss_type", loss_type);
        let level = match importance_sampling_level {
            ImportanceSamplingLevel::Token => "token",
            ImportanceSamplingLevel::Sequence => "sequence",
        };
        canonical.word("importance_sampling_level", level);
        canonical.real("epsilon", *epsilon);
        canonical.optional("epsilon_high", *epsilon_high, Canonical::real);
        canonical.real("beta", *beta);
        canonical.flag("use_bias_correction_kl", *use_bias_correction_kl);
        canonical.flag("measure_kl", *measure_kl);
        let estimator = match estimator {
            Estimator::Grpo => "grpo",
            Estimator::Rloo => "rloo",
        };
        canonical.word("estimator", estimator);
        let scale = match scale_rewards {
            ScaleRewards::Group => "group",
            ScaleRewards::Batch => "batch",
            ScaleRewards::None => "none",
        };
        canonical.word("scale_rewards", scale);
        canonical.flag("mask_truncated_completions", *mask_truncated_completions);
        canonical.count("dynamic_sampling_rounds_max", u64::from(*dynamic_sampling_rounds_max));
        // Which completions are kept changes the rounding of a step.
        canonical.count("rollout_activation_bytes_max", *rollout_activation_bytes_max);
        let correction = match sampling_correction {
            SamplingCorrection::None => "none",
            SamplingCorrection::TokenTruncate => "token_truncate",
            SamplingCorrection::TokenMask => "token_mask",
            SamplingCorrection::SequenceTruncate => "sequence_truncate",
            SamplingCorrection::SequenceMask => "sequence_mask",
        };
        canonical.word("sampling_correction", correction);
        canonical.real("sampling_correction_min", *sampling_correction_min);
        canonical.real("sampling_correction_max", *sampling_correction_max);
    }
}
