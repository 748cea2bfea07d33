use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use perennial_kernels::{Heads, RopeTable};

use super::{
    AdapterTensors,
    attention::Attention,
    layer::Context,
    ops::{Angles, rms_norm},
    weights::{Layer, dtype_on, matrix, vector},
};
use crate::model::{Model, Packing, Projection, Rows};

/// The weights of a model on a device, and its passes there.
pub(crate) struct Decoder {
    pub(super) dtype: DType,
    pub(super) device: Device,
    embeddings: Tensor,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Tensor,
    /// `[vocab, hidden]`; the embedding table where the two are tied.
    pub(super) head: Tensor,
    rope: Arc<RopeTable>,
    heads: Heads,
    pub(super) eps: f32,
}

impl Decoder {
    /// Copies the weights of a model to a device.
    ///
    /// # Errors
    /// Where the device has no room for them.
    pub(crate) fn new(model: &Model, device: &Device) -> Result<Self> {
        let decoder = &model.decoder;
        let dtype = dtype_on(device, decoder.precision);
        let embeddings = matrix(&decoder.embeddings, dtype, device)?;
        let head = decoder.head.as_ref().map(|head| matrix(head, dtype, device)).transpose()?;
        Ok(Self {
            dtype,
            device: device.clone(),
            head: head.unwrap_or_else(|| embeddings.clone()),
            embeddings,
            layers: decoder.layers.iter().map(|layer| Layer::new(layer, dtype, device)).collect::<Result<_>>()?,
            norm: vector(&decoder.norm, device)?,
            rope: decoder.rope.clone(),
            heads: decoder.heads,
            eps: decoder.eps,
        })
    }

    /// The weight of a linear layer, `[out, in]`; `None` where there is no such layer.
    pub(crate) fn weight(&self, layer: usize, projection: Projection) -> Option<&Tensor> {
        Some(&self.layers.get(layer)?.linear(projection).weight)
    }

    /// Where the weights lie.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The hidden state of each row after the final norm, `[rows, hidden]` in f32.
    ///
    /// # Errors
    /// Where a token or a position is outside the model, or the device has no room.
    pub(crate) fn hidden(&self, rows: &Rows, packing: Packing<'_>, adapter: Option<&AdapterTensors>) -> Result<Tensor> {
        let (mut residual, context) = (self.embed(rows)?, self.context(rows, packing, adapter)?);
        for (index, layer) in self.layers.iter().enumerate() {
            residual = layer.forward(index, &residual, &context)?;
        }
        rms_norm(&residual, &self.norm, self.eps)
    }

    /// The embeddings of the rows' tokens, f32.
    pub(super) fn embed(&self, rows: &Rows) -> Result<Tensor> {
        rows.check(self.embeddings.dim(0)?, self.rope.positions_max())?;
        self.embeddings.index_select(&self.indices(&rows.tokens)?, 0)?.to_dtype(DType::F32)
    }

    pub(super) fn context<'a>(
        &self,
        rows: &Rows,
        packing: Packing<'_>,
        adapter: Option<&'a AdapterTensors>,
    ) -> Result<Context<'a>> {
        let (cos, sin): (Vec<_>, Vec<_>) = rows.positions.iter().map(|position| self.rope.at(*position)).unzip();
        let of_rows = |values: Vec<&[f32]>| {
            let planes = values.concat();
            let width = planes.len().checked_div(rows.len()).unwrap_or_default();
            Tensor::from_vec(planes, (rows.len(), 1, width), &self.device)
        };
        Ok(Context {
            heads: self.heads,
            eps: self.eps,
            dtype: self.dtype,
            angles: Angles { cos: of_rows(cos)?, sin: of_rows(sin)? },
            attention: Attention::new(self.heads, packing, &self.device)?,
            adapter,
        })
    }

    pub(super) fn indices(&self, values: &[u32]) -> Result<Tensor> {
        Tensor::from_slice(values, values.len(), &self.device)
    }
}
