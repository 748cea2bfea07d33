use std::sync::Arc;

use candle_core::{Device, Result, Tensor, bail};
use perennial_kernels::{
    KvCache, RopeTable, Span, cached_attention, frozen_linear, lora_linear, packed_attention, rms_norm, rope, swiglu,
};

use super::{Branches, ModelConfig, Rows};
use crate::adapter::{Adapter, Projection};

/// The weights of a model, f32, and its forward pass. Cloning is cheap: tensors are shared.
#[derive(Clone)]
pub struct Decoder {
    pub(super) embeddings: Tensor,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Tensor,
    /// `None` where the head is the embedding table.
    pub(super) head: Option<Tensor>,
    pub(super) rope: Arc<RopeTable>,
    pub(super) head_dim: usize,
    pub(super) kv_heads: usize,
    pub(super) eps: f32,
}

/// The weights of one layer: pre-norm attention and a gated feed-forward.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) attention_norm: Tensor,
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) o: Linear,
    /// The norms of each head of q and k, where the model has them.
    pub(super) qk_norms: Option<(Tensor, Tensor)>,
    pub(super) feed_forward_norm: Tensor,
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
    /// Whether q and k are rotated.
    pub(super) rope: bool,
}

/// A frozen linear layer: `[out, in]`, and `[out]`.
#[derive(Clone)]
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

/// What the rows of a forward pass may look at.
pub enum Attention<'a> {
    /// Rows are whole sequences, each attending to itself alone; the starts (`cu_seqlens`, first 0, last = rows).
    /// Differentiable.
    Packed(&'a Arc<[u32]>),
    /// Rows are those of sequences that may begin alike, each attending to itself alone. Differentiable.
    Branches(&'a Branches),
    /// Rows are the next tokens of cached sequences, which attend to what is cached and are cached themselves. Positions
    /// must go on from there. Not differentiable.
    Cached {
        /// Made by [`Decoder::cache`].
        cache: &'a mut KvCache,
        /// The sequence of each stretch of rows.
        spans: &'a [Span],
    },
}

/// The adapter of a pass, and whether its weights are tracked.
#[derive(Clone, Copy)]
struct Adaptation<'a> {
    adapter: Option<&'a Adapter>,
    detached: bool,
}

impl Decoder {
    /// The hidden state of each row after the final norm: `[rows, hidden]`. With [`Attention::Packed`] differentiable in
    /// the adapter's weights; the base never gets a gradient.
    ///
    /// # Errors
    /// Where a token or a position is outside the model, or the adapter is another model's.
    pub fn hidden(&self, rows: &Rows, attention: Attention<'_>, adapter: Option<&Adapter>) -> Result<Tensor> {
        let residual = self.residual(self.layers.len(), rows, attention, Adaptation { adapter, detached: false })?;
        rms_norm(&residual, &self.norm, self.eps)
    }

    /// As [`hidden`](Self::hidden), but no graph is recorded or kept: for generation and scoring.
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden).
    pub fn hidden_detached(&self, rows: &Rows, attention: Attention<'_>, adapter: Option<&Adapter>) -> Result<Tensor> {
        let residual = self.residual(self.layers.len(), rows, attention, Adaptation { adapter, detached: true })?;
        rms_norm(&residual, &self.norm, self.eps)
    }

    /// The residual stream of the base model after `layers` layers (0: the embeddings), before any final norm:
    /// `[rows, hidden]`.
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden), or where there are fewer layers.
    pub fn hidden_after(&self, layers: usize, rows: &Rows, attention: Attention<'_>) -> Result<Tensor> {
        self.residual(layers, rows, attention, Adaptation { adapter: None, detached: true })
    }

    /// The logits of hidden states: `[rows, hidden]` to `[rows, vocab]`.
    ///
    /// # Errors
    /// Where the shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        frozen_linear(hidden, self.head_weight(), None)
    }

    /// The output matrix, `[vocab, hidden]`; the embedding table where the two are tied.
    pub fn head_weight(&self) -> &Tensor {
        self.head.as_ref().unwrap_or(&self.embeddings)
    }

    /// The embedding table, `[vocab, hidden]`.
    pub fn embeddings(&self) -> &Tensor {
        &self.embeddings
    }

    /// The number of layers.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// An empty cache of this model's shape.
    pub fn cache(&self) -> KvCache {
        KvCache::new(self.layers.len(), self.kv_heads, self.head_dim)
    }

    fn residual(
        &self,
        layers: usize,
        rows: &Rows,
        mut attention: Attention<'_>,
        adaptation: Adaptation<'_>,
    ) -> Result<Tensor> {
        let Some(layers) = self.layers.get(..layers) else {
            bail!("the model has {} layers, not {layers}", self.layers.len());
        };
        let ids = Tensor::from_slice(&rows.tokens, rows.len(), &Device::Cpu)?;
        let mut residual = self.embeddings.index_select(&ids, 0)?;
        for (index, layer) in layers.iter().enumerate() {
            residual = self.layer(index, layer, &residual, rows, &mut attention, adaptation)?;
        }
        Ok(residual)
    }

    fn layer(
        &self,
        index: usize,
        layer: &Layer,
        residual: &Tensor,
        rows: &Rows,
        attention: &mut Attention<'_>,
        adaptation: Adaptation<'_>,
    ) -> Result<Tensor> {
        let linear =
            |x: &Tensor, linear: &Linear, projection: Projection| adaptation.linear(x, linear, index, projection);

        let x = rms_norm(residual, &layer.attention_norm, self.eps)?;
        let (q, k, v) = (
            linear(&x, &layer.q, Projection::QProj)?,
            linear(&x, &layer.k, Projection::KProj)?,
            linear(&x, &layer.v, Projection::VProj)?,
        );
        let (q, k) = match &layer.qk_norms {
            Some((q_norm, k_norm)) => (rms_norm(&q, q_norm, self.eps)?, rms_norm(&k, k_norm, self.eps)?),
            None => (q, k),
        };
        let (q, k) = if layer.rope {
            let rotate = |x: &Tensor| rope(x, self.head_dim, &self.rope, &rows.positions);
            (rotate(&q)?, rotate(&k)?)
        } else {
            (q, k)
        };
        let attended = match attention {
            Attention::Packed(cu_seqlens) => packed_attention(&q, &k, &v, cu_seqlens, self.head_dim)?,
            Attention::Branches(branches) => branches.attention(&q, &k, &v, self.head_dim)?,
            Attention::Cached { cache, spans } => cached_attention(&q, &k, &v, cache, index, spans)?,
        };
        let residual = (residual + linear(&attended, &layer.o, Projection::OProj)?)?;

        let x = rms_norm(&residual, &layer.feed_forward_norm, self.eps)?;
        let gate = linear(&x, &layer.gate, Projection::GateProj)?;
        let up = linear(&x, &layer.up, Projection::UpProj)?;
        residual + linear(&swiglu(&gate, &up)?, &layer.down, Projection::DownProj)?
    }

    /// The rope table of a model of this shape.
    pub(super) fn rope_table(config: &ModelConfig) -> Arc<RopeTable> {
        let frequencies = config.rope.inverse_frequencies(config.head_dim);
        Arc::new(RopeTable::new(&frequencies, config.positions_max, 1.0))
    }
}

impl Adaptation<'_> {
    fn linear(&self, x: &Tensor, linear: &Linear, layer: usize, projection: Projection) -> Result<Tensor> {
        let bias = linear.bias.as_ref();
        let Some(slot) = self.adapter.and_then(|adapter| adapter.get(layer, projection)) else {
            return frozen_linear(x, &linear.weight, bias);
        };
        if self.detached {
            return lora_linear(x, &linear.weight, bias, &slot.a.detach(), &slot.b.detach(), slot.scale);
        }
        lora_linear(x, &linear.weight, bias, &slot.a, &slot.b, slot.scale)
    }
}
