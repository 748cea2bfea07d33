//! One layer of the decoder, forth and back.
//!
//! The residual stream and its gradient are f32. What products read is rounded to the decoder's precision once, and that is
//! what is kept for the backward pass; what takes no product to make is made again.

mod backward;
mod forward;

use std::sync::Arc;

use perennial_kernels::{Heads, RopeTable, Weight};

use super::{
    LoraWeights, Rows,
    linear::{Linear, Lora},
    workspace::{Stored, Workspace},
};
use crate::adapter::Projection;

/// The weights of a norm.
pub(super) type Norm = Arc<[f32]>;

/// The weights of one layer: pre-norm attention and a gated feed-forward.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) attention_norm: Norm,
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) o: Linear,
    /// The norms of each head of q and k, where the model has them.
    pub(super) qk_norms: Option<(Norm, Norm)>,
    pub(super) feed_forward_norm: Norm,
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
    /// Whether q and k are rotated.
    pub(super) rope: bool,
}

/// What all layers of a pass share.
pub(super) struct Context<'a> {
    pub(super) heads: Heads,
    pub(super) eps: f32,
    pub(super) rope: &'a RopeTable,
    pub(super) rows: &'a Rows,
    pub(super) lora: Option<&'a LoraWeights>,
}

impl<'a> Context<'a> {
    fn lora(&self, layer: usize, projection: Projection) -> Option<&'a Lora> {
        self.lora?.get(layer, projection)
    }
}

/// What a layer keeps of its forward pass for the backward pass, `[rows, …]` each.
pub(super) struct Kept<E> {
    /// The residual stream before the layer, and that between attention and feed-forward.
    residual: Vec<f32>,
    middle: Vec<f32>,
    /// q and k before their norms, where the model has those.
    unnormed: Option<(Vec<E>, Vec<E>)>,
    /// q and k rotated.
    q: Vec<E>,
    k: Vec<E>,
    v: Vec<E>,
    attended: Vec<E>,
    log_sums: Vec<f32>,
    gate: Vec<E>,
    up: Vec<E>,
    /// Per projection, its input times Aᵀ.
    downs: [Option<Vec<E>>; Projection::ALL.len()],
}

impl Layer {
    pub(super) fn weights_mut(&mut self) -> impl Iterator<Item = &mut Weight> {
        let Self { q, k, v, o, gate, up, down, .. } = self;
        [q, k, v, o, gate, up, down].into_iter().map(|linear| &mut linear.weight)
    }

    /// The bytes of what [`Kept`] holds of one row.
    pub(super) fn kept_bytes<E>(&self, heads: Heads, lora: impl Fn(Projection) -> Option<usize>) -> usize {
        let stream = 2 * self.attention_norm.len() * size_of::<f32>();
        let log_sums = heads.q_heads * size_of::<f32>();
        let unnormed = if self.qk_norms.is_some() { heads.q_cols() + heads.kv_cols() } else { 0 };
        let attention = 2 * heads.q_cols() + 2 * heads.kv_cols() + unnormed;
        let feed_forward = self.gate.weight.outputs() + self.up.weight.outputs();
        let downs: usize = Projection::ALL.into_iter().filter_map(lora).sum();
        stream + log_sums + (attention + feed_forward + downs) * size_of::<E>()
    }
}

impl<E: Stored> Kept<E> {
    /// The residual stream before the layer, from which all else can be made again.
    pub(super) fn into_residual(mut self, workspace: &mut Workspace) -> Vec<f32> {
        let residual = std::mem::take(&mut self.residual);
        self.give(workspace);
        residual
    }

    fn give(self, workspace: &mut Workspace) {
        let Self { residual, middle, unnormed, q, k, v, attended, gate, up, downs, .. } = self;
        [residual, middle].into_iter().for_each(|buffer| workspace.give(buffer));
        [q, k, v, attended, gate, up].into_iter().for_each(|buffer| workspace.give(buffer));
        downs.into_iter().flatten().for_each(|buffer| workspace.give(buffer));
        if let Some((q, k)) = unnormed {
            workspace.give(q);
            workspace.give(k);
        }
    }
}
