use std::ops::Range;

use candle_core::{Result, Tensor, Var, bail};

use super::Decoder;
use crate::adapter::{LoraConfig, Projection};

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

/// An adapter on a device, in f32. Gradients come in the order in which its tensors were added.
#[derive(Default)]
pub(crate) struct AdapterTensors {
    /// Per layer and projection.
    layers: Vec<[Option<Site>; Projection::ALL.len()]>,
    tensors: usize,
}

/// The adapter of one linear layer.
struct Site {
    delta: Box<dyn ComposedDelta>,
    /// The places of its gradients among those of all tensors.
    gradients: Range<usize>,
}

impl AdapterTensors {
    /// Adds the adapter of one linear layer, given its tensors.
    ///
    /// # Errors
    /// Where the decoder has no such layer, or the device no room.
    pub(crate) fn push(
        &mut self,
        config: &LoraConfig,
        (layer, projection): (usize, Projection),
        tensors: &[&[f32]],
        decoder: &Decoder,
    ) -> Result<()> {
        let Some(layer_weights) = decoder.layers.get(layer) else {
            bail!("an adapter of {} is for another model", projection.module_path(layer));
        };
        let gradients = self.tensors..self.tensors + tensors.len();
        self.tensors = gradients.end;
        let delta = config.kind.delta().composed(config, &layer_weights.linear(projection).weight, tensors)?;
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Default::default);
        }
        self.layers[layer][projection as usize] = Some(Site { delta, gradients });
        Ok(())
    }

    pub(super) fn get(&self, layer: usize, projection: Projection) -> Option<&dyn ComposedDelta> {
        Some(&*self.layers.get(layer)?[projection as usize].as_ref()?.delta)
    }

    /// The variables of a layer, with the places of their gradients.
    pub(super) fn of_layer(&self, layer: usize) -> impl Iterator<Item = (usize, &Tensor)> {
        let sites = self.layers.get(layer).into_iter().flatten().flatten();
        sites.flat_map(|site| {
            site.gradients.clone().zip(site.delta.variables().into_iter().map(|variable| variable.as_tensor()))
        })
    }
}
