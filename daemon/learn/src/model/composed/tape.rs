use candle_core::{DType, Result, Tensor, Var, backprop::GradStore, bail};

use super::{AdapterTensors, Decoder, layer::Context, ops::rms_norm};

/// A forward pass that a backward pass can follow: [`Decoder::forward`].
pub(crate) struct Tape<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) context: Context<'a>,
    /// The residual stream before each layer.
    pub(super) residuals: Vec<Tensor>,
    /// And before the final norm.
    pub(super) last: Tensor,
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

/// The gradients of an adapter's tensors, and their places, as autograd found them.
#[derive(Default)]
pub(super) struct Gradients {
    found: Vec<(usize, Tensor)>,
}

impl Gradients {
    /// Takes those of a layer's tensors.
    pub(super) fn add(&mut self, store: &GradStore, layer: usize, adapter: Option<&AdapterTensors>) -> Result<()> {
        let tensors = adapter.into_iter().flat_map(|adapter| adapter.of_layer(layer));
        self.found.extend(tensors.filter_map(|(place, tensor)| Some((place, store.get(tensor)?.detach()))));
        Ok(())
    }

    fn add_to(&self, gradients: &mut [Vec<f32>]) -> Result<()> {
        for (place, gradient) in &self.found {
            let values = gradient.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            gradients[*place].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        Ok(())
    }
}

/// The gradient of a variable that a pass was computed from. Candle records what gradients of variables are made of; a later
/// backward pass must not go through that.
pub(super) fn gradient_of(store: &GradStore, variable: &Var) -> Result<Tensor> {
    match store.get(variable) {
        Some(gradient) => Ok(gradient.detach()),
        None => bail!("a pass has no gradient of what it was computed from"),
    }
}
