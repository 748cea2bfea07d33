use perennial_types::Fingerprint;
use rayon::prelude::*;

use super::{OptimizerState, TrainConfig, TrainError, frozen::Frozen, parameters::Parameters};

/// AdamW (arXiv 1711.05101) as torch computes it, with its state in the open, for checkpoints.
#[derive(Clone)]
pub(super) struct AdamW {
    /// Optimiser steps of this run so far.
    pub(super) step: u64,
    /// Those of the runs whose state it began with.
    pub(super) steps_before: u64,
    /// Per matrix, the running mean of the gradient.
    pub(super) means: Vec<Vec<f32>>,
    /// Per matrix, the running mean of its square.
    pub(super) squares: Vec<Vec<f32>>,
}

impl AdamW {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let zeros: Vec<Vec<f32>> = parameters.matrices.iter().map(|matrix| vec![0.0; matrix.values.len()]).collect();
        Self { step: 0, steps_before: 0, means: zeros.clone(), squares: zeros }
    }

    /// With what an earlier run left, where there is such a state.
    pub(super) fn going_on(parameters: &Parameters, state: Option<&OptimizerState>) -> Result<Self, TrainError> {
        let Some(state) = state else { return Ok(Self::new(parameters)) };
        let [means, squares] = state.of(parameters)?;
        Ok(Self { step: 0, steps_before: state.steps(), means, squares })
    }

    /// What the next run can begin with; `adapter` is what this one ended with.
    pub(super) fn into_state(self, parameters: &Parameters, adapter: Fingerprint) -> OptimizerState {
        OptimizerState::new(adapter, self.steps_before + self.step, parameters, self.means, self.squares)
    }

    /// One update. `gradients` belong to the matrices of `parameters`, in order. What is frozen stays as it is, without a decay.
    pub(super) fn update(
        &mut self,
        parameters: &mut Parameters,
        frozen: Frozen,
        gradients: &[Vec<f32>],
        rate: f64,
        config: &TrainConfig,
    ) {
        self.step += 1;
        let exponent = (self.steps_before + self.step) as f64;
        let rule = Rule {
            decay: (1.0 - rate * config.weight_decay) as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            rest1: (1.0 - config.beta1) as f32,
            rest2: (1.0 - config.beta2) as f32,
            step_size: (rate / (1.0 - config.beta1.powf(exponent))) as f32,
            root_correction: (1.0 - config.beta2.powf(exponent)).sqrt() as f32,
            epsilon: config.epsilon as f32,
        };
        let state = self.means.par_iter_mut().zip(self.squares.par_iter_mut());
        let tasks = parameters.matrices.par_iter_mut().zip(gradients).zip(state);
        tasks.for_each(|((matrix, gradient), (mean, square))| {
            for part in frozen.trained(matrix) {
                let (values, gradient) = (&mut matrix.values[part.clone()], &gradient[part.clone()]);
                rule.apply(values, gradient, &mut mean[part.clone()], &mut square[part]);
            }
        });
    }
}

struct Rule {
    decay: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    step_size: f32,
    root_correction: f32,
    epsilon: f32,
}

impl Rule {
    fn apply(&self, values: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32]) {
        let state = mean.iter_mut().zip(square);
        for ((value, gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(state) {
            *mean = self.beta1 * *mean + self.rest1 * gradient;
            *square = self.beta2 * *square + self.rest2 * gradient * gradient;
            let denominator = square.sqrt() / self.root_correction + self.epsilon;
            *value = *value * self.decay - self.step_size * *mean / denominator;
        }
    }
}

/// Scales gradients down so that their global norm is at most `norm_max`, as `torch.nn.utils.clip_grad_norm_` does.
/// Returns the norm before.
pub(super) fn clip(gradients: &mut [Vec<f32>], norm_max: f64) -> f64 {
    let square = |gradient: &Vec<f32>| gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    let norm = gradients.iter().map(square).sum::<f64>().sqrt();
    let factor = norm_max / (norm + 1e-6);
    if factor < 1.0 {
        gradients.iter_mut().flatten().for_each(|value| *value *= factor as f32);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Adapter, LoraConfig, tiny_model};

    #[test]
    fn agrees_with_torch() {
        // torch 2: AdamW([1., -2., 0.5], lr=0.1, weight_decay=0.01), gradients (0.5, -1, 0.001), then (-0.25, 2, 0).
        let rule = |step: i32| Rule {
            decay: 1.0 - 0.1 * 0.01,
            beta1: 0.9,
            beta2: 0.999,
            rest1: 0.1,
            rest2: 0.001,
            step_size: 0.1 / (1.0 - 0.9_f32.powi(step)),
            root_correction: ((1.0 - 0.999_f64.powi(step)).sqrt()) as f32,
            epsilon: 1e-8,
        };
        let (mut values, mut mean, mut square) = ([1.0, -2.0, 0.5], [0.0; 3], [0.0; 3]);
        rule(1).apply(&mut values, &[0.5, -1.0, 0.001], &mut mean, &mut square);
        let close = |got: [f32; 3], expected: [f32; 3]| got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 2e-6);
        assert!(close(values, [0.899, -1.898, 0.399_501]), "{values:?}");
        rule(2).apply(&mut values, &[-0.25, 2.0, 0.0], &mut mean, &mut square);
        assert!(close(values, [0.871_467_4, -1.932_712_4, 0.332_096_6]), "{values:?}");
    }

    #[test]
    fn clipping_keeps_the_direction() {
        let mut gradients = vec![vec![3.0], vec![0.0, 4.0]];
        assert_eq!(clip(&mut gradients, 10.0), 5.0);
        assert_eq!(gradients, [vec![3.0], vec![0.0, 4.0]]);
        clip(&mut gradients, 1.0);
        assert!((gradients[0][0] - 0.6).abs() < 1e-6 && (gradients[1][1] - 0.8).abs() < 1e-6);
        assert!(clip(&mut [vec![f32::NAN]], 1.0).is_nan());
    }

    #[test]
    fn an_update_moves_every_parameter_against_its_gradient() {
        let adapter = Adapter::init(&LoraConfig::default(), &tiny_model(), 1).unwrap();
        let mut parameters = Parameters::from_adapter(&adapter).unwrap();
        let before = parameters.clone();
        let gradients: Vec<Vec<f32>> =
            parameters.matrices.iter().map(|matrix| vec![0.5; matrix.values.len()]).collect();
        let config = TrainConfig::default();
        AdamW::new(&parameters).update(&mut parameters, Frozen::default(), &gradients, 1e-3, &config);
        for (after, before) in parameters.matrices.iter().zip(&before.matrices) {
            let moved = after.values.iter().zip(&before.values).all(|(a, b)| (b - a - 1e-3).abs() < 1e-5);
            assert!(moved, "{}", after.name());
        }
    }
}
