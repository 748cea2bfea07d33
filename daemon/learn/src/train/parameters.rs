use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};
use perennial_kernels::Precision;

use crate::{
    adapter::{Adapter, LoraConfig, LoraSlot, Projection, tensor_name},
    model::{LoraWeights, composed::LoraTensors},
};

/// The numbers that are trained: every matrix of an adapter, in the order of layers and projections, A before B.
#[derive(Clone)]
pub(super) struct Parameters {
    config: LoraConfig,
    pub(super) matrices: Vec<Parameter>,
}

/// One matrix, row by row.
#[derive(Clone)]
pub(super) struct Parameter {
    at: (usize, Projection, char),
    pub(super) shape: [usize; 2],
    pub(super) values: Vec<f32>,
}

impl Parameter {
    /// The name in PEFT's file.
    pub(super) fn name(&self) -> String {
        let (layer, projection, part) = self.at;
        tensor_name(layer, projection, part)
    }
}

impl Parameters {
    pub(super) fn from_adapter(adapter: &Adapter) -> Result<Self> {
        let mut matrices = Vec::new();
        for ((layer, projection), slot) in adapter.slots() {
            for (part, tensor) in [('A', &slot.a), ('B', &slot.b)] {
                let (rows, cols) = tensor.dims2()?;
                let values = tensor.flatten_all()?.to_vec1()?;
                matrices.push(Parameter { at: (layer, projection, part), shape: [rows, cols], values });
            }
        }
        Ok(Self { config: adapter.config().clone(), matrices })
    }

    /// An adapter.
    pub(super) fn to_adapter(&self) -> Result<Adapter> {
        let tensor = |matrix: &Parameter| Tensor::from_slice(&matrix.values, &matrix.shape[..], &Device::Cpu);
        let mut slots = BTreeMap::new();
        for (at, a, b) in self.slots() {
            slots.insert(at, LoraSlot { a: tensor(a)?, b: tensor(b)?, scale: self.config.scale() });
        }
        Ok(Adapter::from_slots(self.config.clone(), slots))
    }

    /// An adapter for the passes of a decoder. Gradients come in the order of the matrices.
    pub(super) fn to_weights(&self, precision: Precision) -> LoraWeights {
        let mut weights = LoraWeights::default();
        for (at, a, b) in self.slots() {
            let shape = [a.shape[0], a.shape[1], b.shape[0]];
            weights.push(precision, at, shape, (a.values.clone(), b.values.clone()), self.config.scale());
        }
        weights
    }

    /// An adapter on a device. Gradients come in the order of the matrices.
    pub(super) fn to_tensors(&self, device: &Device) -> Result<LoraTensors> {
        let mut tensors = LoraTensors::default();
        for (at, a, b) in self.slots() {
            let shape = [a.shape[0], a.shape[1], b.shape[0]];
            tensors.push(at, shape, (&a.values, &b.values), self.config.scale(), device)?;
        }
        Ok(tensors)
    }

    /// A and B of each linear layer: one follows the other.
    fn slots(&self) -> impl Iterator<Item = ((usize, Projection), &Parameter, &Parameter)> {
        self.matrices.chunks_exact(2).map(|pair| ((pair[0].at.0, pair[0].at.1), &pair[0], &pair[1]))
    }
}
