use candle_core::{DType, Result, Tensor, Var};
use perennial_kernels::Heads;

use super::{
    AdapterTensors, ComposedDelta,
    attention::Attention,
    gradients::{Gradients, gradient_of},
    ops::{Angles, linear, rms_norm, swiglu},
    weights::Layer,
};
use crate::model::Projection;

/// What all layers of a pass share.
pub(super) struct Context<'a> {
    pub(super) heads: Heads,
    pub(super) eps: f32,
    pub(super) dtype: DType,
    pub(super) angles: Angles,
    pub(super) attention: Attention,
    pub(super) adapter: Option<&'a AdapterTensors>,
}

impl<'a> Context<'a> {
    fn delta(&self, layer: usize, projection: Projection) -> Option<&'a dyn ComposedDelta> {
        self.adapter?.get(layer, projection)
    }
}

impl Layer {
    /// The residual stream after the layer, given that before it: `[rows, hidden]` in f32.
    pub(super) fn forward(&self, index: usize, residual: &Tensor, context: &Context<'_>) -> Result<Tensor> {
        let qkv = self.before_attention(index, residual, context)?;
        let attended = context.attention.forward(&qkv.each_ref().map(Tensor::detach))?;
        // The operations on an adapter are recorded even where nobody goes back.
        Ok(self.after_attention(index, residual, &attended, context)?.detach())
    }

    /// The gradient of the residual stream before the layer, given that stream and the gradient of the one after the layer.
    /// Adds those of the adapter's tensors.
    pub(super) fn backward(
        &self,
        index: usize,
        residual: &Tensor,
        d: &Tensor,
        context: &Context<'_>,
        gradients: &mut Gradients,
    ) -> Result<Tensor> {
        let residual = Var::from_tensor(residual)?;
        let qkv = self.before_attention(index, &residual, context)?;
        let detached = qkv.each_ref().map(Tensor::detach);
        let attended = Var::from_tensor(&context.attention.forward(&detached)?)?;

        let after = self.after_attention(index, &residual, &attended, context)?;
        let store = (after * d)?.sum_all()?.backward()?;
        let (d_after, d_attended) = (gradient_of(&store, &residual)?, gradient_of(&store, &attended)?);
        gradients.add(&store, index, context.adapter)?;

        let d_qkv = context.attention.backward(&detached, &d_attended)?;
        let mut product: Option<Tensor> = None;
        for (part, d_part) in qkv.iter().zip(&d_qkv) {
            let own = (part.to_dtype(DType::F32)? * d_part.to_dtype(DType::F32)?)?.sum_all()?;
            product = Some(match product {
                None => own,
                Some(sum) => (sum + own)?,
            });
        }
        let Some(product) = product else { return Ok(d_after) };
        let store = product.backward()?;
        gradients.add(&store, index, context.adapter)?;
        d_after + gradient_of(&store, &residual)?
    }

    /// q and k rotated, and v: `[rows, heads · head_dim]`.
    fn before_attention(&self, index: usize, residual: &Tensor, context: &Context<'_>) -> Result<[Tensor; 3]> {
        let Context { heads, eps, dtype, ref angles, .. } = *context;
        let x = rms_norm(residual, &self.attention_norm, eps)?.to_dtype(dtype)?;
        let project = |projection| linear(&x, self.linear(projection), context.delta(index, projection));
        let turned = |x: Tensor, count: usize, norm: Option<&Tensor>| {
            let rows = x.dim(0)?;
            let mut x = x.to_dtype(DType::F32)?.reshape((rows, count, heads.dim))?;
            if let Some(norm) = norm {
                x = rms_norm(&x, norm, eps)?;
            }
            if self.rope {
                x = angles.rotate(&x)?;
            }
            x.reshape((rows, count * heads.dim))?.to_dtype(dtype)
        };
        let (q_norm, k_norm) = self.qk_norms.as_ref().map(|(q, k)| (q, k)).unzip();
        Ok([
            turned(project(Projection::QProj)?, heads.q_heads, q_norm)?,
            turned(project(Projection::KProj)?, heads.kv_heads, k_norm)?,
            project(Projection::VProj)?,
        ])
    }

    fn after_attention(
        &self,
        index: usize,
        residual: &Tensor,
        attended: &Tensor,
        context: &Context<'_>,
    ) -> Result<Tensor> {
        let project = |projection, x: &Tensor| linear(x, self.linear(projection), context.delta(index, projection));
        let middle = (residual + project(Projection::OProj, attended)?.to_dtype(DType::F32)?)?;
        let x = rms_norm(&middle, &self.feed_forward_norm, context.eps)?.to_dtype(context.dtype)?;
        let gate = project(Projection::GateProj, &x)?;
        let up = project(Projection::UpProj, &x)?;
        let activated = swiglu(&gate, &up)?;
        middle + project(Projection::DownProj, &activated)?.to_dtype(DType::F32)?
    }
}
