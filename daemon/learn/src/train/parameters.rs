use candle_core::{Device, Result, Tensor};

use crate::{
    adapter::{Adapter, LoraConfig, Projection, Site, add_tensors, add_weights, tensor_name},
    model::{
        AdapterWeights, Decoder,
        composed::{self, AdapterTensors},
    },
};

/// How PEFT calls the first matrix of a low-rank pair.
const DOWN: &str = "lora_A";

/// The numbers that are trained: every tensor of an adapter, in the order of layers and projections, and of their parts in
/// its kind.
#[derive(Clone)]
pub(super) struct Parameters {
    config: LoraConfig,
    pub(super) matrices: Vec<Parameter>,
}

/// One tensor, row by row.
#[derive(Clone)]
pub(super) struct Parameter {
    at: (usize, Projection),
    part: &'static str,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl Parameter {
    /// The name in PEFT's file.
    pub(super) fn name(&self) -> String {
        tensor_name(self.at, self.part)
    }

    /// Whether it is the matrix `[rank, in]` of a low-rank pair.
    pub(super) fn is_down(&self) -> bool {
        self.part.starts_with(DOWN)
    }
}

impl Parameters {
    pub(super) fn from_adapter(adapter: &Adapter) -> Result<Self> {
        let mut matrices = Vec::new();
        for (at, site) in adapter.sites() {
            for ((part, tensor), values) in adapter.parts().iter().zip(site.tensors()).zip(site.values()?) {
                matrices.push(Parameter { at, part, shape: tensor.dims().to_vec(), values });
            }
        }
        Ok(Self { config: adapter.config().clone(), matrices })
    }

    /// The values of all matrices, in their order.
    pub(super) fn values(&self) -> Vec<Vec<f32>> {
        self.matrices.iter().map(|matrix| matrix.values.clone()).collect()
    }

    /// The same matrices with other values.
    pub(super) fn with(&self, values: &[Vec<f32>]) -> Self {
        let of = |(matrix, values): (&Parameter, &Vec<f32>)| Parameter { values: values.clone(), ..matrix.clone() };
        Self { config: self.config.clone(), matrices: self.matrices.iter().zip(values).map(of).collect() }
    }

    /// Copies the values as they are now.
    pub(super) fn to_adapter(&self) -> Result<Adapter> {
        let tensor = |matrix: &Parameter| Tensor::from_slice(&matrix.values, &matrix.shape[..], &Device::Cpu);
        let sites = self.sites().map(|(at, parts)| {
            let tensors: Result<Vec<Tensor>> = parts.iter().map(tensor).collect();
            Ok((at, Site::new(tensors?)))
        });
        Ok(Adapter::from_sites(self.config.clone(), sites.collect::<Result<_>>()?))
    }

    /// An adapter for the passes of a decoder. Gradients come in the order of the tensors.
    pub(super) fn to_weights(&self, decoder: &Decoder) -> Result<AdapterWeights> {
        let mut weights = AdapterWeights::default();
        for (at, parts) in self.sites() {
            let tensors = parts.iter().map(|part| part.values.clone()).collect();
            add_weights(&mut weights, &self.config, at, tensors, decoder)?;
        }
        Ok(weights)
    }

    /// An adapter on the device of a decoder. Gradients come in the order of the tensors.
    pub(super) fn to_tensors(&self, decoder: &composed::Decoder) -> Result<AdapterTensors> {
        let mut tensors = AdapterTensors::default();
        for (at, parts) in self.sites() {
            let values: Vec<&[f32]> = parts.iter().map(|part| part.values.as_slice()).collect();
            add_tensors(&mut tensors, &self.config, at, &values, decoder)?;
        }
        Ok(tensors)
    }

    /// The tensors of each linear layer: one follows the other.
    fn sites(&self) -> impl Iterator<Item = ((usize, Projection), &[Parameter])> {
        self.matrices.chunk_by(|one, other| one.at == other.at).map(|parts| (parts[0].at, parts))
    }
}
