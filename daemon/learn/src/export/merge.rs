//! The base model's weights with what an adapter adds to them.

use std::collections::BTreeMap;

use super::ExportError;
use crate::{
    adapter::{Adapter, Projection},
    model::{BaseFiles, StoredTensor},
};

/// Which tensors an adapter changes.
pub(super) struct Merge<'a> {
    adapter: &'a Adapter,
    sites: BTreeMap<String, (usize, Projection)>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(adapter: &'a Adapter) -> Self {
        let named = |at: (usize, Projection)| (format!("{}.weight", at.1.module_path(at.0)), at);
        Self { adapter, sites: adapter.sites().map(|(at, _)| named(at)).collect() }
    }

    /// Whether the adapter changes a tensor, by Hugging Face's name.
    pub(super) fn changes(&self, name: &str) -> bool {
        self.sites.contains_key(name)
    }

    /// The values of a tensor of the base model, changed in f32 where the adapter changes it.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn values(&self, base: &BaseFiles, tensor: &StoredTensor) -> Result<Vec<f32>, ExportError> {
        let mut values = base.values(tensor)?.flatten_all()?.to_vec1::<f32>()?;
        if let Some(at) = self.sites.get(&tensor.name) {
            self.adapter.merge_into(*at, &mut values)?;
        }
        Ok(values)
    }
}
