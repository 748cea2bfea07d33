use std::ops::Range;

use candle_core::Tensor;

use super::ComposedDelta;
use crate::model::Projection;

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
    /// Adds the adapter of one linear layer, which has so many tensors.
    pub(crate) fn push(
        &mut self,
        (layer, projection): (usize, Projection),
        delta: Box<dyn ComposedDelta>,
        tensors: usize,
    ) {
        let gradients = self.tensors..self.tensors + tensors;
        self.tensors = gradients.end;
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Default::default);
        }
        self.layers[layer][projection as usize] = Some(Site { delta, gradients });
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
