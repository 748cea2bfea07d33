use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Past, Penalty};
use crate::train::{
    TrainError,
    parameters::{Parameter, Parameters},
};

/// O-LoRA (Wang et al., arXiv 2310.14152): λ · Σ (Aₚ · Aₙᵀ)², summed over layers and over all pairs of a row of Aₚ, which is of what was
/// learned before and is frozen, and a row of Aₙ, which is trained. A is PEFT's `lora_A`, as in the authors' code: its rows span what
/// a layer's change reads, so what is new is learned from directions that what is known hardly looks at.
///
/// The square is the paper's. The code that the authors published sums absolute values; both are 0 at the same places, but a weight
/// does not mean the same. Its second penalty, on the norm of the new pair, is no part of the paper's loss: `weight_decay` is there.
struct Orthogonal {
    weight: f64,
    /// Rows of A that are frozen, the first of each layer.
    past: usize,
}

/// The keys of O-LoRA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrthogonalConfig {
    /// λ. Default 0: off.
    pub weight: f64,
}

pub(super) const FIGURE: &str = "penalty/orthogonal";

pub(super) fn of(config: &OrthogonalConfig, past: Past<'_>) -> Result<Option<Box<dyn Penalty>>, TrainError> {
    if config.weight == 0.0 || past.frozen_rank == 0 {
        return Ok(None);
    }
    Ok(Some(Box::new(Orthogonal { weight: config.weight, past: past.frozen_rank })))
}

impl Penalty for Orthogonal {
    fn figure(&self) -> &'static str {
        FIGURE
    }

    fn add(&self, parameters: &Parameters, gradients: &mut [Vec<f32>]) -> f64 {
        let of_matrices = parameters.matrices.par_iter().zip(gradients.par_iter_mut());
        let sums: Vec<f64> = of_matrices
            .map(|(matrix, gradient)| if matrix.is_down() { self.add_matrix(matrix, gradient) } else { 0.0 })
            .collect();
        self.weight * sums.iter().sum::<f64>()
    }
}

impl Orthogonal {
    /// The sum of squares of one layer.
    fn add_matrix(&self, matrix: &Parameter, gradient: &mut [f32]) -> f64 {
        let width = matrix.values.len() / matrix.shape[0].max(1);
        let (past, new) = matrix.values.split_at(self.past * width);
        let of_new = &mut gradient[self.past * width..];
        let mut sum = 0.0;
        for (row, gradient) in new.chunks_exact(width).zip(of_new.chunks_exact_mut(width)) {
            for past in past.chunks_exact(width) {
                let product: f64 = past.iter().zip(row).map(|(past, new)| f64::from(*past) * f64::from(*new)).sum();
                sum += product * product;
                let factor = (2.0 * self.weight * product) as f32;
                gradient.iter_mut().zip(past).for_each(|(slope, past)| *slope += factor * past);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{
        frozen::Frozen,
        penalty::testing::{agrees_with_finite_differences_of, elsewhere},
    };

    #[test]
    fn is_the_squared_overlap_and_turns_the_new_rows_away() {
        let (parameters, past) = (elsewhere(), Past { frozen_rank: 1, ..Past::default() });
        let penalty = of(&OrthogonalConfig { weight: 0.7 }, past).unwrap().unwrap();
        let mut expected = 0.0;
        for matrix in parameters.matrices.iter().filter(|matrix| matrix.is_down()) {
            let (past, new) = matrix.values.split_at(matrix.shape[1]);
            let product: f32 = past.iter().zip(new).map(|(past, new)| past * new).sum();
            expected += 0.7 * f64::from(product).powi(2);
        }
        let is_trained = |matrix: &Parameter, at: usize| {
            matrix.is_down() && Frozen { rank: 1 }.trained(matrix).any(|part| part.contains(&at))
        };
        agrees_with_finite_differences_of(&*penalty, &parameters, expected, is_trained);
        // Nothing of it reaches what is frozen, or B.
        let mut gradients: Vec<Vec<f32>> = parameters.values().iter().map(|values| vec![0.0; values.len()]).collect();
        penalty.add(&parameters, &mut gradients);
        for (matrix, gradient) in parameters.matrices.iter().zip(&gradients) {
            assert!(gradient.iter().enumerate().all(|(at, slope)| *slope == 0.0 || is_trained(matrix, at)));
        }
        assert!(of(&OrthogonalConfig::default(), past).unwrap().is_none());
        assert!(of(&OrthogonalConfig { weight: 0.7 }, Past::default()).unwrap().is_none());
    }
}
