use candle_core::{Result, Tensor, Var};

/// The adapter of one linear layer as candle's operations. Each kind of adapter implements it in its own file
/// (`adapter/kind/`).
pub(crate) trait ComposedDelta {
    /// What the layer gives: `[rows, out]`, for x `[rows, in]` and `product`, which is `x · wᵀ`.
    ///
    /// # Errors
    /// Where the device has no room.
    fn forward(&self, x: &Tensor, product: Tensor, bias: Option<&Tensor>) -> Result<Tensor>;

    /// What is trained, in the order of the adapter's tensors.
    fn variables(&self) -> Vec<&Var>;
}

/// `y + bias`, where there is one.
pub(crate) fn with_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}
