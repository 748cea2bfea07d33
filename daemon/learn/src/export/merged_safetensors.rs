use std::{borrow::Cow, collections::BTreeMap, path::Path};

use candle_core::quantized::GgmlDType;

use super::{
    Dtype, ExportError, FormatKind, Opened,
    dtype::{encoded, in_safetensors, kept},
    merge::Merge,
};
use crate::model::{Entry, StoredTensor, write_safetensors};

/// A Hugging Face folder of the base model with the adapter in its weights: `w + scale · b · a` in f32, rounded once to the type that the
/// base model's file has, as PEFT's `merge_and_unload` gives it.
pub(super) struct MergedSafetensors;

impl FormatKind for MergedSafetensors {
    fn name(&self) -> &'static str {
        "merged-safetensors"
    }

    fn about(&self) -> &'static str {
        "A Hugging Face folder of the base model with the adapter in its weights"
    }

    fn is_file(&self) -> bool {
        false
    }

    fn dtypes(&self) -> &'static [Dtype] {
        &[]
    }

    fn write(&self, opened: &Opened<'_>, out: &Path) -> Result<(), ExportError> {
        let base = opened.base()?;
        let merge = Merge::new(&opened.adapter);
        let tensors: BTreeMap<String, StoredTensor> =
            base.tensors()?.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let entry = |tensor: &StoredTensor| {
            let (dtype, _, value_bytes) = in_safetensors(kept(tensor.dtype));
            Entry { name: tensor.name.clone(), dtype, shape: tensor.dims.clone(), value_bytes }
        };
        let entries: Vec<Entry> = tensors.values().map(entry).collect();
        let of_matrices = tensors.values().find(|tensor| tensor.dims.len() > 1);
        let (_, torch, _) = in_safetensors(of_matrices.map_or(GgmlDType::F32, |tensor| kept(tensor.dtype)));
        base.write_settings(out, torch)?;
        write_safetensors(&out.join("model.safetensors"), &entries, |entry| {
            let Some(tensor) = tensors.get(&entry.name) else { return Ok(Cow::default()) };
            let values = merge.values(&base, tensor)?;
            Ok::<_, ExportError>(Cow::Owned(encoded(values, &tensor.dims, kept(tensor.dtype))?))
        })
    }
}
