use candle_core::{DType, Result, Tensor, Var, backprop::GradStore, bail};

use super::AdapterTensors;

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

    pub(super) fn add_to(&self, gradients: &mut [Vec<f32>]) -> Result<()> {
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
