use candle_core::{Result, Tensor, Var};

use super::{
    AdapterTensors, Decoder,
    gradients::{Gradients, gradient_of},
    layer::Context,
    ops::rms_norm,
};
use crate::model::{Packing, Rows};

/// A forward pass that a backward pass can follow: [`Decoder::forward`].
pub(crate) struct Tape<'a> {
    decoder: &'a Decoder,
    context: Context<'a>,
    /// The residual stream before each layer.
    residuals: Vec<Tensor>,
    /// And before the final norm.
    last: Tensor,
}

impl Decoder {
    /// As [`hidden`](Self::hidden), and the way back to the adapter.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn forward<'a>(
        &'a self,
        rows: &Rows,
        packing: Packing<'_>,
        adapter: &'a AdapterTensors,
    ) -> Result<(Tensor, Tape<'a>)> {
        let (mut residual, context) = (self.embed(rows)?, self.context(rows, packing, Some(adapter))?);
        let mut residuals = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let after = layer.forward(index, &residual, &context)?;
            residuals.push(std::mem::replace(&mut residual, after));
        }
        let hidden = rms_norm(&residual, &self.norm, self.eps)?;
        Ok((hidden, Tape { decoder: self, context, residuals, last: residual }))
    }
}

impl Tape<'_> {
    /// Adds the gradients of the adapter's tensors to `gradients`, in the order in which [`AdapterTensors`] has them, given that
    /// of the hidden states.
    ///
    /// # Errors
    /// Where the device has no room.
    pub(crate) fn backward(self, d_hidden: &Tensor, gradients: &mut [Vec<f32>]) -> Result<()> {
        let Self { decoder, context, residuals, last } = self;
        let last = Var::from_tensor(&last)?;
        let hidden = rms_norm(&last, &decoder.norm, decoder.eps)?;
        let store = (hidden * d_hidden)?.sum_all()?.backward()?;
        let mut found = Gradients::default();
        let mut d = gradient_of(&store, &last)?;
        for ((index, layer), residual) in decoder.layers.iter().enumerate().zip(residuals).rev() {
            d = layer.backward(index, &residual, &d, &context, &mut found)?;
        }
        // Only now, so that the device need not wait after each layer.
        found.add_to(gradients)
    }
}
