use super::GrpoConfig;
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
        canonical.word("loss_type", loss_type.as_str());
        canonical.word("importance_sampling_level", importance_sampling_level.as_str());
        canonical.real("epsilon", *epsilon);
        canonical.optional("epsilon_high", *epsilon_high, Canonical::real);
        canonical.real("beta", *beta);
        canonical.flag("use_bias_correction_kl", *use_bias_correction_kl);
        canonical.flag("measure_kl", *measure_kl);
        canonical.word("estimator", estimator.as_str());
        canonical.word("scale_rewards", scale_rewards.as_str());
        canonical.flag("mask_truncated_completions", *mask_truncated_completions);
        canonical.count("dynamic_sampling_rounds_max", u64::from(*dynamic_sampling_rounds_max));
        // Which completions are kept changes the rounding of a step.
        canonical.count("rollout_activation_bytes_max", *rollout_activation_bytes_max);
        canonical.word("sampling_correction", sampling_correction.as_str());
        canonical.real("sampling_correction_min", *sampling_correction_min);
        canonical.real("sampling_correction_max", *sampling_correction_max);
    }
}
