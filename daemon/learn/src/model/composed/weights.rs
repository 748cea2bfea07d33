use candle_core::{DType, Device, Result, Tensor};
use perennial_kernels::{Precision, Weight};

use crate::model::{Projection, layer, linear};

/// The weights of one layer on a device.
pub(super) struct Layer {
    pub(super) attention_norm: Tensor,
    /// By projection.
    linears: Vec<Linear>,
    /// The norms of each head of q and k, where the model has them.
    pub(super) qk_norms: Option<(Tensor, Tensor)>,
    pub(super) feed_forward_norm: Tensor,
    /// Whether q and k are rotated.
    pub(super) rope: bool,
}

/// A frozen linear layer: `[out, in]`, and `[out]`, of one dtype.
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

impl Layer {
    pub(super) fn new(layer: &layer::Layer, dtype: DType, device: &Device) -> Result<Self> {
        let norm = |values: &[f32]| vector(values, device);
        let linear = |projection| Linear::new(layer.linear(projection), dtype, device);
        let norms = layer.qk_norms.as_ref();
        Ok(Self {
            attention_norm: norm(&layer.attention_norm)?,
            linears: Projection::ALL.into_iter().map(linear).collect::<Result<_>>()?,
            qk_norms: norms.map(|(q, k)| Ok::<_, candle_core::Error>((norm(q)?, norm(k)?))).transpose()?,
            feed_forward_norm: norm(&layer.feed_forward_norm)?,
            rope: layer.rope,
        })
    }

    pub(super) fn linear(&self, projection: Projection) -> &Linear {
        &self.linears[projection as usize]
    }
}

impl Linear {
    fn new(linear: &linear::Linear, dtype: DType, device: &Device) -> Result<Self> {
        let bias = linear.bias.as_ref().map(|bias| vector(bias, device)?.to_dtype(dtype)).transpose()?;
        Ok(Self { weight: matrix(&linear.weight, dtype, device)?, bias })
    }
}

/// What products are computed in on a device.
pub(super) fn dtype_on(device: &Device, precision: Precision) -> DType {
    match precision {
        Precision::Bf16 if !device.is_cpu() => DType::BF16,
        _ => DType::F32,
    }
}

pub(super) fn vector(values: &[f32], device: &Device) -> Result<Tensor> {
    Tensor::from_slice(values, values.len(), device)
}

/// `[outputs, inputs]`
pub(super) fn matrix(weight: &Weight, dtype: DType, device: &Device) -> Result<Tensor> {
    let stored = match weight.precision() {
        Precision::F32 => DType::F32,
        Precision::Bf16 => DType::BF16,
    };
    let shape = [weight.outputs(), weight.inputs()];
    Tensor::from_raw_buffer(&weight.le_bytes(), stored, &shape, device)?.to_dtype(dtype)
}
