use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};

use crate::adapter::{Adapter, LoraConfig, LoraSlot, Projection, tensor_name};

/// The numbers that are trained: every matrix of an adapter, in the order of layers and projections, A before B.
#[derive(Clone)]
pub(super) struct Parameters {
    config: LoraConfig,
    pub(super) matrices: Vec<Matrix>,
}

/// One matrix, row by row.
#[derive(Clone)]
pub(super) struct Matrix {
    at: (usize, Projection, char),
    pub(super) shape: [usize; 2],
    pub(super) values: Vec<f32>,
}

impl Matrix {
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
                matrices.push(Matrix { at: (layer, projection, part), shape: [rows, cols], values });
            }
        }
        Ok(Self { config: adapter.config().clone(), matrices })
    }

    /// An adapter of plain tensors.
    pub(super) fn to_adapter(&self) -> Result<Adapter> {
        let tensor = |matrix: &Matrix| Tensor::from_slice(&matrix.values, &matrix.shape[..], &Device::Cpu);
        let tensors = self.matrices.iter().map(tensor).collect::<Result<Vec<_>>>()?;
        Ok(self.adapter_of(&tensors))
    }

    /// An adapter of variables, and these, in the order of the matrices.
    pub(super) fn to_variables(&self) -> Result<(Adapter, Vec<Var>)> {
        let variable = |matrix: &Matrix| Var::from_slice(&matrix.values, &matrix.shape[..], &Device::Cpu);
        let variables = self.matrices.iter().map(variable).collect::<Result<Vec<_>>>()?;
        let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        Ok((self.adapter_of(&tensors), variables))
    }

    fn adapter_of(&self, tensors: &[Tensor]) -> Adapter {
        let mut slots = BTreeMap::new();
        // A slot's A and B follow one another.
        for (pair, tensors) in self.matrices.chunks_exact(2).zip(tensors.chunks_exact(2)) {
            let (layer, projection, _) = pair[0].at;
            let slot = LoraSlot { a: tensors[0].clone(), b: tensors[1].clone(), scale: self.config.scale() };
            slots.insert((layer, projection), slot);
        }
        Adapter::from_slots(self.config.clone(), slots)
    }
}
