use std::collections::BTreeMap;

use candle_core::{Result, Tensor, bail};
use half::bf16;
use perennial_kernels::{Precision, Weight};

/// The tensors of a model by Hugging Face's names, in Hugging Face's row order.
pub(super) type Tensors = BTreeMap<String, Loaded>;

/// A tensor of a model, as its passes want it: matrices in the decoder's precision, norms and biases in f32.
#[derive(Clone)]
pub(super) enum Loaded {
    Vector(Vec<f32>),
    Matrix(Weight),
}

impl Loaded {
    pub(super) fn new(tensor: &Tensor, precision: Precision) -> Result<Self> {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        match (tensor.dims(), precision) {
            ([_], _) => Ok(Self::Vector(values)),
            ([rows, cols], Precision::F32) => Ok(Self::Matrix(Weight::from_f32(values, *rows, *cols))),
            ([rows, cols], Precision::Bf16) => {
                let values = values.into_iter().map(bf16::from_f32).collect();
                Ok(Self::Matrix(Weight::from_bf16(values, *rows, *cols)))
            }
            (dims, _) => bail!("it has the shape {dims:?}, but a model is made of vectors and matrices"),
        }
    }

    pub(super) fn dims(&self) -> Vec<usize> {
        match self {
            Self::Vector(values) => vec![values.len()],
            Self::Matrix(weight) => vec![weight.outputs(), weight.inputs()],
        }
    }
}
