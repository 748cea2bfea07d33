use super::{TrainError, forward::targets_of, gradients};
use crate::tokenize::Encoded;

/// Supervised fine-tuning: −Σ log p over the targets, divided by the targets of the *whole batch*, so that it does not
/// matter how a batch is cut into micro-batches (transformers ≥ 4.46, `num_items_in_batch`).
pub(super) struct Objective {
    batch_targets: usize,
}

impl Objective {
    pub(super) fn over(batch: &[&Encoded]) -> Result<Self, TrainError> {
        let batch_targets = batch.iter().map(|example| targets_of(example).count()).sum();
        if batch_targets == 0 { Err(TrainError::NoExamples) } else { Ok(Self { batch_targets }) }
    }
}

impl gradients::Objective for Objective {
    fn add(&mut self, _at: usize, targets: &gradients::Targets<'_>, slopes: &mut Vec<f32>) -> f64 {
        let batch_targets = self.batch_targets as f64;
        slopes.resize(slopes.len() + targets.logprobs.len(), (-1.0 / batch_targets) as f32);
        -targets.logprobs.iter().map(|logprob| f64::from(*logprob)).sum::<f64>() / batch_targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_mean_over_the_batch_and_so_is_its_gradient() {
        let example = Encoded { tokens: vec![1; 5], supervised: vec![true; 5] };
        let mut objective = Objective::over(&[&example]).unwrap();
        let (targets, mut slopes) =
            (gradients::Targets { logprobs: &[-1.0, -2.0, -3.0], entropies: &[0.0; 3] }, vec![]);
        let loss = gradients::Objective::add(&mut objective, 0, &targets, &mut slopes);
        assert_eq!((loss, slopes), (1.5, vec![-0.25; 3]));
    }
}
