use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use candle_core::Tensor;
use perennial_durable::write_durably;
use serde_json::json;

use super::{Dtype, ExportError, FormatKind, Opened};
use crate::{
    adapter::Adapter,
    model::{Entry, write_safetensors},
};

/// The folder that `mlx_lm` loads with `--adapter-path` (`mlx_lm/tuner/utils.py`, `lora.py`, `dora.py`): matrices transposed, `[in, r]`
/// and `[r, out]`, with the scale that is multiplied with in the configuration.
pub(super) struct Mlx;

/// What its files call a kind of adapter.
const KINDS: [&str; 2] = ["lora", "dora"];
/// PEFT's name of a tensor, mlx's, and whether that is transposed.
const PARTS: [(&str, &str, bool); 3] =
    [("lora_A.weight", "lora_a", true), ("lora_B.weight", "lora_b", true), ("lora_magnitude_vector", "m", false)];

impl FormatKind for Mlx {
    fn name(&self) -> &'static str {
        "mlx"
    }

    fn about(&self) -> &'static str {
        "A folder of mlx_lm's, for Apple's processors"
    }

    fn is_file(&self) -> bool {
        false
    }

    fn dtypes(&self) -> &'static [Dtype] {
        &[]
    }

    fn write(&self, opened: &Opened<'_>, out: &Path) -> Result<(), ExportError> {
        let adapter = &opened.adapter;
        let kind = adapter.config().kind.name();
        let refused = |what: String| ExportError::Refused {
            format: self.name(),
            what,
            instead: "export merged-safetensors, which mlx_lm.convert reads",
        };
        if !KINDS.contains(&kind) {
            return Err(refused(format!("adapters of the kind {kind}")));
        }
        let tensors = named(adapter).map_err(|part| refused(format!("the tensor {part}")))?;
        let entry = |(name, (tensor, is_transposed)): (&String, &(&Tensor, bool))| {
            let mut shape = tensor.dims().to_vec();
            if *is_transposed {
                shape.reverse();
            }
            Entry { name: name.clone(), dtype: "F32", shape, value_bytes: 4 }
        };
        let entries: Vec<Entry> = tensors.iter().map(entry).collect();
        write_safetensors(&out.join("adapters.safetensors"), &entries, |entry| {
            let Some((tensor, is_transposed)) = tensors.get(&entry.name) else { return Ok(Cow::default()) };
            let tensor = if *is_transposed { tensor.t()?.contiguous()? } else { (*tensor).clone() };
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            Ok::<_, ExportError>(values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })?;
        let modules: BTreeSet<String> =
            adapter.sites().map(|((_, projection), _)| projection.path_in_layer()).collect();
        let config = json!({
            "fine_tune_type": kind,
            "num_layers": opened.config.layers,
            "lora_parameters": {
                "rank": adapter.config().r,
                "scale": adapter.config().scale(),
                "dropout": 0.0,
                "keys": modules,
            },
        });
        Ok(write_durably(&out.join("adapter_config.json"), format!("{config:#}\n").as_bytes())?)
    }
}

/// Each tensor by mlx's name, and whether that is transposed. In the error stands the part that mlx has no name for.
fn named(adapter: &Adapter) -> Result<BTreeMap<String, (&Tensor, bool)>, &'static str> {
    let mut tensors = BTreeMap::new();
    for ((layer, projection), site) in adapter.sites() {
        for (part, tensor) in adapter.parts().iter().zip(site.tensors()) {
            let (_, name, is_transposed) = PARTS.iter().find(|(known, ..)| known == part).ok_or(*part)?;
            tensors.insert(format!("{}.{name}", projection.module_path(layer)), (tensor, *is_transposed));
        }
    }
    Ok(tensors)
}
