use crate::model::{AdapterWeights, Decoder};

/// What the layers of a micro-batch keep of their forward pass for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationPlan {
    /// The layers of the model.
    pub layers: usize,
    /// The layers that keep all; the others keep the residual stream and are computed a second time.
    pub layers_kept: usize,
    /// What is kept in all, and while a layer is computed again.
    pub bytes: u64,
}

impl ActivationPlan {
    /// As many layers kept as the bound allows for so many rows. A bound that not even the residual streams fit into is
    /// exceeded: nothing is left to save but smaller micro-batches.
    pub fn new(decoder: &Decoder, adapter: &AdapterWeights, rows: usize, bytes_max: Option<u64>) -> Self {
        Self::of(
            decoder.layer_count(),
            decoder.row_bytes(adapter).map(|bytes| (bytes as u64).saturating_mul(rows as u64)),
            bytes_max,
        )
    }

    fn of(layers: usize, [kept, residual]: [u64; 2], bytes_max: Option<u64>) -> Self {
        let bytes = |layers_kept: usize| {
            // A layer that is computed again is kept for that while.
            let again = if layers_kept < layers { kept } else { 0 };
            let computed_again = (layers - layers_kept) as u64;
            kept.saturating_mul(layers_kept as u64)
                .saturating_add(residual.saturating_mul(computed_again))
                .saturating_add(again)
        };
        let fits = |layers_kept: &usize| bytes_max.is_none_or(|max| bytes(*layers_kept) <= max);
        let layers_kept = (0..=layers).rev().find(fits).unwrap_or(0);
        Self { layers, layers_kept, bytes: bytes(layers_kept) }
    }

    /// The share of the forward pass that is computed twice.
    pub fn recomputed(&self) -> f64 {
        (self.layers - self.layers_kept) as f64 / self.layers.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_layers_are_kept_as_fit() {
        let plan = |max| ActivationPlan::of(10, [100, 10], max);
        assert_eq!((plan(None).layers_kept, plan(None).bytes), (10, 1000));
        assert_eq!(plan(Some(1000)).layers_kept, 10);
        assert_eq!((plan(Some(999)).layers_kept, plan(Some(999)).bytes), (8, 8 * 100 + 2 * 10 + 100));
        assert_eq!((plan(Some(0)).layers_kept, plan(Some(0)).recomputed()), (0, 1.0));
    }
}
