use candle_core::{Result, Tensor};

/// The loss of supervised fine-tuning: −Σ log p over the targets of a micro-batch, divided by the targets of the *whole
/// batch*, so that it does not matter how a batch is cut into micro-batches (transformers ≥ 4.46, `num_items_in_batch`).
pub(super) fn loss(logprobs: &Tensor, batch_targets: usize) -> Result<Tensor> {
    logprobs.sum_all()? * (-1.0 / batch_targets as f64)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn is_the_mean_over_the_batch_and_so_is_its_gradient() {
        let logprobs = Var::from_slice(&[-1.0_f32, -2.0, -3.0], 3, &Device::Cpu).unwrap();
        let loss = loss(&logprobs, 4).unwrap();
        assert_eq!(loss.to_scalar::<f32>().unwrap(), 1.5);
        let gradients = loss.backward().unwrap();
        assert_eq!(gradients.get(&logprobs).unwrap().to_vec1::<f32>().unwrap(), [-0.25; 3]);
    }
}
