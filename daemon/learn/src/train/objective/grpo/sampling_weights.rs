use super::{GrpoConfig, corrections::Bounds};

/// The weight of each token of a completion that another engine sampled: p(training) / p(engine), bounded, as TRL computes it
/// (`vllm_importance_sampling_mode`). A token whose log-probability the engine could not say (NaN) counts as sampled by the
/// training forward.
pub(super) fn sampling_weights(training: &[f32], engine: &[f32], config: &GrpoConfig) -> Vec<f64> {
    let pairs = training.iter().zip(engine);
    let differences: Vec<f64> = pairs.map(|(training, engine)| difference(*training, *engine)).collect();
    let bounds = Bounds { min: config.sampling_correction_min, max: config.sampling_correction_max };
    config.sampling_correction.way().weights(&differences, bounds)
}

/// log p(training) − log p(engine); 0 where the engine could not say.
pub(super) fn difference(training: f32, engine: f32) -> f64 {
    if engine.is_nan() { 0.0 } else { f64::from(training) - f64::from(engine) }
}

#[cfg(test)]
mod tests {
    use super::{super::SamplingCorrection, *};

    #[test]
    fn weights_are_bounded_by_token_or_by_completion() {
        let training = [0.0_f32, -1.0, -2.0];
        let engine = [-(4.0_f32.ln()), -1.0 + 4.0_f32.ln(), f32::NAN];
        let weights = |sampling_correction| {
            let config = GrpoConfig { sampling_correction, sampling_correction_min: 0.5, ..GrpoConfig::default() };
            sampling_weights(&training, &engine, &config)
                .iter()
                .map(|weight| (weight * 1e4).round() / 1e4)
                .collect::<Vec<_>>()
        };
        assert_eq!(weights(SamplingCorrection::None), [1.0, 1.0, 1.0]);
        assert_eq!(weights(SamplingCorrection::TokenTruncate), [3.0, 0.5, 1.0]);
        assert_eq!(weights(SamplingCorrection::TokenMask), [0.0, 0.0, 1.0]);
        assert_eq!(weights(SamplingCorrection::SequenceTruncate), [1.0; 3]);
        let apart = |mode| {
            let config = GrpoConfig { sampling_correction: mode, ..GrpoConfig::default() };
            sampling_weights(&[0.0, 0.0], &[-1.0, -1.0], &config)
        };
        assert_eq!(apart(SamplingCorrection::SequenceTruncate), [3.0; 2]);
        assert_eq!(apart(SamplingCorrection::SequenceMask), [0.0; 2]);
    }
}
