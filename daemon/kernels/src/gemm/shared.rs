use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use super::{DEPTH, Threads, kernel::Kernel, panels::Panels};
use crate::{element::Element, mat::Mat};

/// The left-hand operand of several products, which is packed once for all of them.
pub struct Shared<'a, E> {
    pub(super) mat: Mat<'a, E>,
    products: usize,
    packed: Packed,
}

/// The panels of some kernel, once there are any.
pub(super) type Packed = OnceLock<Arc<dyn Any + Send + Sync>>;

impl<'a, E> Shared<'a, E> {
    /// An operand of so many products.
    pub fn new(mat: Mat<'a, E>, products: usize) -> Self {
        Self { mat, products: products.max(1), packed: OnceLock::new() }
    }

    pub(super) fn packed(&self) -> &Packed {
        &self.packed
    }

    /// What a product pays of that many values to pack.
    pub(super) fn share_of(&self, values: usize) -> usize {
        if self.packed.get().is_some() { 0 } else { values.div_ceil(self.products) }
    }
}

/// A right operand in panels from `first` on: those that another product has made of it, where it is shared.
pub(super) fn panels<K: Kernel, R: Element>(
    mat: Mat<'_, R>,
    first: usize,
    shared: Option<&Packed>,
    threads: Threads,
) -> Arc<Panels<K>> {
    let fresh = || Arc::new(Panels::<K>::new(mat, first, DEPTH.min(mat.cols - first), threads));
    let Some(shared) = shared.filter(|_| mat.cols <= DEPTH) else { return fresh() };
    if let Some(panels) = shared.get().and_then(|panels| panels.clone().downcast().ok()) {
        return panels;
    }
    let panels = fresh();
    // Another kernel's panels stay where they were first.
    let _ = shared.set(panels.clone());
    panels
}
