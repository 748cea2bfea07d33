use candle_core::{Result, Tensor};
use perennial_kernels::Weight;

use super::Projection;
use crate::model::{Model, ModelConfig};

/// The adapter of one linear layer: its tensors, in the order of [`Adapter::parts`](super::Adapter::parts).
#[derive(Clone, Debug)]
pub struct Site(Vec<Tensor>);

impl Site {
    pub(crate) fn new(tensors: Vec<Tensor>) -> Self {
        Self(tensors)
    }

    /// In f32, on the CPU, whatever precision the file had.
    pub fn tensors(&self) -> &[Tensor] {
        &self.0
    }

    /// Their values, row by row.
    ///
    /// # Errors
    /// Where a tensor cannot be read.
    pub fn values(&self) -> Result<Vec<Vec<f32>>> {
        self.0.iter().map(|tensor| tensor.flatten_all()?.to_vec1()).collect()
    }

    pub(super) fn shapes(&self) -> Vec<&[usize]> {
        self.0.iter().map(Tensor::dims).collect()
    }
}

/// The linear layer of a base model that an adapter is for.
#[derive(Clone, Copy)]
pub struct SiteBase<'a> {
    /// The length of a row of its weight.
    pub inputs: usize,
    /// The number of rows.
    pub outputs: usize,
    /// `[outputs, inputs]`, where it is at hand.
    pub weight: Option<&'a Weight>,
}

/// What an adapter is made for: a model, or only its shape where that is all that is at hand.
pub trait BaseModel {
    /// What widths and layers are taken from.
    fn shape(&self) -> &ModelConfig;

    /// A linear layer.
    fn site(&self, layer: usize, projection: Projection) -> SiteBase<'_> {
        let (inputs, outputs) = projection.width(self.shape());
        SiteBase { inputs, outputs, weight: self.weight(layer, projection) }
    }

    /// The weight of a linear layer, `[out, in]`, where it is at hand.
    fn weight(&self, layer: usize, projection: Projection) -> Option<&Weight>;
}

impl BaseModel for Model {
    fn shape(&self) -> &ModelConfig {
        &self.config
    }

    fn weight(&self, layer: usize, projection: Projection) -> Option<&Weight> {
        self.decoder.weight(layer, projection)
    }
}

impl BaseModel for ModelConfig {
    fn shape(&self) -> &ModelConfig {
        self
    }

    fn weight(&self, _layer: usize, _projection: Projection) -> Option<&Weight> {
        None
    }
}
