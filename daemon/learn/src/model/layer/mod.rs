//! One layer of the decoder, forth and back.
//!
//! The residual stream and its gradient are f32. What products read is rounded to the decoder's precision once, and that is
//! what is kept for the backward pass; what takes no product to make is made again.

mod backward;
mod forward;
mod kept;

use std::sync::Arc;

pub use kept::KeptRow;
pub(super) use kept::{Kept, KeptIn, KeptStart, KeptWidths};
use perennial_kernels::{Heads, RopeTable, Weight};

use super::{AdapterWeights, Projection, Rows, adapter_weights::SiteWeights, linear::Linear};

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
    pub(super) adapter: Option<&'a AdapterWeights>,
}

impl<'a> Context<'a> {
    fn site(&self, layer: usize, projection: Projection) -> Option<&'a SiteWeights> {
        self.adapter?.get(layer, projection)
    }
}

impl Layer {
    pub(super) fn linear(&self, projection: Projection) -> &Linear {
        match projection {
            Projection::QProj => &self.q,
            Projection::KProj => &self.k,
            Projection::VProj => &self.v,
            Projection::OProj => &self.o,
            Projection::GateProj => &self.gate,
            Projection::UpProj => &self.up,
            Projection::DownProj => &self.down,
        }
    }

    pub(super) fn weights_mut(&mut self) -> impl Iterator<Item = &mut Weight> {
        let Self { q, k, v, o, gate, up, down, .. } = self;
        [q, k, v, o, gate, up, down].into_iter().map(|linear| &mut linear.weight)
    }
}
