use std::sync::Arc;

use super::{
    DEPTH, Into, Prepacked, Threads,
    kernel::Kernel,
    panels::Panels,
    shared::{self, PanelsOnce},
};
use crate::{
    element::Element,
    mat::{Mat, MatMut},
};

/// What is done with a sum.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub(super) into: Into,
    pub(super) factor: f32,
}

/// `dst (+)= factor · left · rightᵀ`
pub(super) struct Job<'a, L, R> {
    pub(super) dst: MatMut<'a>,
    pub(super) scale: Scale,
    pub(super) left: Mat<'a, L>,
    pub(super) right: Mat<'a, R>,
    pub(super) packed: Packed<'a>,
    pub(super) second: Option<(Mat<'a, L>, Mat<'a, R>, Packed<'a>)>,
}

/// Where a right operand's panels are, but for those that are made for one product.
#[derive(Clone, Copy)]
pub(super) enum Packed<'a> {
    Nowhere,
    /// With whichever product needs them first.
    Shared(&'a PanelsOnce),
    /// With the weight.
    Prepacked(&'a Prepacked),
}

impl<'a> Packed<'a> {
    pub(super) fn with(prepacked: Option<&'a Prepacked>) -> Self {
        prepacked.map_or(Self::Nowhere, Self::Prepacked)
    }

    /// The panels of a stretch of a right operand.
    pub(super) fn panels<K: Kernel, R: Element>(
        self,
        right: Mat<'_, R>,
        first: usize,
        length: usize,
        threads: Threads,
    ) -> Arc<Panels<K>> {
        let fresh = || Arc::new(Panels::new(right, first, length, threads));
        match self {
            Self::Nowhere => fresh(),
            Self::Prepacked(prepacked) => prepacked.panels(first).unwrap_or_else(fresh),
            // Only operands of a single stretch are kept.
            Self::Shared(once) if right.cols <= DEPTH => shared::panels(once, fresh),
            Self::Shared(_) => fresh(),
        }
    }
}
