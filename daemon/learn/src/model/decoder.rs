use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::Rows;
use crate::adapter::Adapter;

/// The weights of a model, f32, and its forward pass. Cloning is cheap: tensors are shared.
#[derive(Clone)]
pub struct Decoder;

/// What the rows of a forward pass may look at.
pub enum Attention<'a> {
    /// Rows are whole sequences, each attending to itself alone; the starts (`cu_seqlens`, first 0, last = rows).
    /// Differentiable.
    Packed(&'a Arc<[u32]>),
}

impl Decoder {
    /// The hidden state of each row after the final norm: `[rows, hidden]`. Differentiable in the adapter's weights
    /// with [`Attention::Packed`]; the base never gets a gradient.
    ///
    /// # Errors
    /// Where a token or a position is outside the model.
    pub fn hidden(&self, rows: &Rows, attention: Attention<'_>, adapter: Option<&Adapter>) -> Result<Tensor> {
        let _ = (rows, attention, adapter);
        todo!()
    }

    /// The residual stream after `layers` layers (0: the embeddings), before any final norm: `[rows, hidden]`.
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden), or where there are fewer layers.
    pub fn hidden_after(
        &self,
        layers: usize,
        rows: &Rows,
        attention: Attention<'_>,
        adapter: Option<&Adapter>,
    ) -> Result<Tensor> {
        let _ = (layers, rows, attention, adapter);
        todo!()
    }

    /// The logits of hidden states: `[rows, hidden]` to `[rows, vocab]`.
    ///
    /// # Errors
    /// Where the shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let _ = hidden;
        todo!()
    }

    /// The output matrix, `[vocab, hidden]`; the embedding table where the two are tied.
    pub fn head_weight(&self) -> &Tensor {
        todo!()
    }

    /// The embedding table, `[vocab, hidden]`.
    pub fn embeddings(&self) -> &Tensor {
        todo!()
    }
}
