use candle_core::{D, DType, Result, Tensor};

use super::{ComposedDelta, delta::with_bias, product::frozen_product, weights::Linear};

/// `weight · x / √(mean(x²) + eps)` over the last dimension (arXiv 1910.07467). f32 in, f32 out.
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let root = x.sqr()?.mean_keepdim(D::Minus1)?.affine(1.0, f64::from(eps))?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(weight)
}

/// The cosine and sine of each row's angles (arXiv 2104.09864): `[rows, 1, head_dim / 2]` each.
pub(super) struct Angles {
    pub(super) cos: Tensor,
    pub(super) sin: Tensor,
}

impl Angles {
    /// Rotates each head of each row by its position, in the rotate-half form: x is `[rows, heads, head_dim]`, f32.
    pub(super) fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let (low, high) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let (cos, sin) = (&self.cos, &self.sin);
        let rotated_low = (low.broadcast_mul(cos)? - high.broadcast_mul(sin)?)?;
        let rotated_high = (high.broadcast_mul(cos)? + low.broadcast_mul(sin)?)?;
        Tensor::cat(&[rotated_low, rotated_high], D::Minus1)
    }
}

/// `silu(gate) · up` (arXiv 2002.05202), computed in f32.
pub(super) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let dtype = gate.dtype();
    (gate.to_dtype(DType::F32)?.silu()? * up.to_dtype(DType::F32)?)?.to_dtype(dtype)
}

/// `x · wᵀ + bias`, with what an adapter changes about it: x is `[rows, in]` in the dtype of w.
pub(super) fn linear(x: &Tensor, layer: &Linear, delta: Option<&dyn ComposedDelta>) -> Result<Tensor> {
    let (product, bias) = (frozen_product(x, &layer.weight)?, layer.bias.as_ref());
    match delta {
        Some(delta) => delta.forward(x, product, bias),
        None => with_bias(product, bias),
    }
}
