use std::ops::Range;

use perennial_kernels::Weight;
use tracing::warn;

use super::{
    Projection,
    delta::{Delta, kept_widths},
};

/// An adapter in the precision of a decoder, ready for its passes: made by [`Adapter::to_weights`](crate::adapter::Adapter::to_weights).
#[derive(Default)]
pub struct AdapterWeights {
    /// Per layer and projection.
    layers: Vec<[Option<SiteWeights>; Projection::ALL.len()]>,
    tensors: usize,
}

/// The adapter of one linear layer.
pub(super) struct SiteWeights {
    pub(super) delta: Box<dyn Delta>,
    /// The places of its gradients among those of all tensors.
    pub(super) gradients: Range<usize>,
    /// How many values of each row it keeps for its backward pass, part by part: asked for with each row that is kept.
    kept_widths: Vec<usize>,
}

impl AdapterWeights {
    /// Adds the adapter of one linear layer, which has so many tensors. The gradients of a backward pass come in the order in
    /// which they are added.
    pub(crate) fn push(&mut self, (layer, projection): (usize, Projection), delta: Box<dyn Delta>, tensors: usize) {
        let gradients = self.tensors..self.tensors + tensors;
        self.tensors = gradients.end;
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Default::default);
        }
        let kept_widths = kept_widths(&*delta);
        self.layers[layer][projection as usize] = Some(SiteWeights { delta, gradients, kept_widths });
    }

    /// With its matrices packed, as [`Decoder::for_few_rows`](super::Decoder::for_few_rows) has those of the model.
    pub fn for_few_rows(mut self) -> Self {
        let sites = self.layers.iter_mut().flatten().flatten();
        let pairs = sites.filter_map(|site| site.delta.low_rank_mut());
        let matrices: Vec<&mut Weight> = pairs.flat_map(|pair| [&mut pair.a, &mut pair.b]).collect();
        if let Err(error) = Weight::prepack(matrices) {
            warn!(%error, "no memory for a packed adapter: rollouts are slower without it");
        }
        self
    }

    /// How many values of each row the adapter of a linear layer keeps for its backward pass, part by part.
    pub(super) fn kept_widths(&self, layer: usize, projection: Projection) -> &[usize] {
        self.get(layer, projection).map(|site| site.kept_widths.as_slice()).unwrap_or_default()
    }

    pub(super) fn get(&self, layer: usize, projection: Projection) -> Option<&SiteWeights> {
        self.layers.get(layer)?[projection as usize].as_ref()
    }
}
