use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use super::{kernel::Kernel, panels::Panels};
use crate::mat::Mat;

/// The left-hand operand of several products, which is packed once for all of them.
pub struct Shared<'a, E> {
    pub(super) mat: Mat<'a, E>,
    products: usize,
    panels: PanelsOnce,
}

/// The panels of some kernel, once there are any.
pub(super) type PanelsOnce = OnceLock<Arc<dyn Any + Send + Sync>>;

impl<'a, E> Shared<'a, E> {
    /// An operand of so many products.
    pub fn new(mat: Mat<'a, E>, products: usize) -> Self {
        Self { mat, products: products.max(1), panels: OnceLock::new() }
    }

    pub(super) fn panels(&self) -> &PanelsOnce {
        &self.panels
    }

    /// What a product pays of that many values to pack.
    pub(super) fn share_of(&self, values: usize) -> usize {
        if self.panels.get().is_some() { 0 } else { values.div_ceil(self.products) }
    }
}

/// The panels that another product has left, or fresh ones, for others to use.
pub(super) fn panels<K: Kernel>(once: &PanelsOnce, fresh: impl FnOnce() -> Arc<Panels<K>>) -> Arc<Panels<K>> {
    if let Some(panels) = once.get().and_then(|panels| panels.clone().downcast().ok()) {
        return panels;
    }
    let panels = fresh();
    // Another kernel's panels stay where they were first.
    let _ = once.set(panels.clone());
    panels
}
