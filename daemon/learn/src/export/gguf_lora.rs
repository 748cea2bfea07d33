use std::{collections::BTreeMap, path::Path};

use candle_core::{Tensor, quantized::gguf_file::Value};

use super::{Dtype, ExportError, FormatKind, Opened, dtype::encoded, gguf};
use crate::{
    adapter::LoraConfig,
    model::{GgufTensor, permute, permuted_heads, to_gguf, write_gguf},
};

/// The file that llama.cpp loads with `--lora`, as its `convert_lora_to_gguf.py` writes it: A and B of each layer, the rows of B in the
/// order that the base model's rows have in its GGUF file, and alpha, which is divided by the rank.
pub(super) struct GgufLora;

/// The server whose file this is, as kinds of adapters name it.
const SERVER: &str = "llama.cpp";

impl FormatKind for GgufLora {
    fn name(&self) -> &'static str {
        "gguf"
    }

    fn about(&self) -> &'static str {
        "A file that llama.cpp loads beside the base model (--lora)"
    }

    fn is_file(&self) -> bool {
        true
    }

    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::ALL
    }

    fn write(&self, opened: &Opened<'_>, out: &Path) -> Result<(), ExportError> {
        let Opened { job, adapter, config } = opened;
        let architecture = gguf::architecture(self.name(), config)?;
        let (lora, refused) = (adapter.config(), |what: String| ExportError::Refused {
            format: self.name(),
            what,
            instead: "export merged-gguf, which has them in the weights",
        });
        if lora.kind.not_served_by().contains(&SERVER) {
            return Err(refused(format!("adapters of the kind {}", lora.kind.name())));
        }
        let alpha = alpha(lora);
        if alpha == 0.0 {
            return Err(refused("an alpha of 0, which llama.cpp reads as none at all,".to_owned()));
        }
        let dtype = job.dtype.unwrap_or(Dtype::F32);
        let mut metadata = gguf::general(architecture, "adapter", job.name);
        metadata.push(("adapter.type".to_owned(), Value::String("lora".to_owned())));
        metadata.push(("adapter.lora.alpha".to_owned(), Value::F32(alpha)));

        let mut tensors = Vec::new();
        let mut values: BTreeMap<String, (Tensor, Option<usize>)> = BTreeMap::new();
        for ((layer, projection), site) in adapter.sites() {
            let [a, b] = site.tensors() else { return Err(refused("an adapter of other tensors than A and B".into())) };
            let weight = format!("{}.weight", projection.module_path(layer));
            let Some(name) = to_gguf(&weight) else { return Err(refused(format!("the layer {weight}"))) };
            let of_weight =
                [(format!("{name}.lora_a"), a, None), (format!("{name}.lora_b"), b, permuted_heads(&weight, config))];
            for (name, tensor, heads) in of_weight {
                let (dims, row) = (tensor.dims().to_vec(), tensor.dim(1)?);
                tensors.push(GgufTensor { name: name.clone(), dims, dtype: dtype.of_rows(row) });
                values.insert(name, (tensor.clone(), heads));
            }
        }
        write_gguf(out, &metadata, &tensors, |tensor| {
            let Some((values, heads)) = values.get(&tensor.name) else { return Ok(Vec::new()) };
            let values = match heads {
                Some(heads) => permute(values, *heads)?,
                None => values.clone(),
            };
            encoded(values.flatten_all()?.to_vec1()?, &tensor.dims, tensor.dtype)
        })
    }
}

/// What divided by the rank is the scale: llama.cpp knows no rsLoRA.
fn alpha(config: &LoraConfig) -> f32 {
    let r = config.r as f64;
    (if config.use_rslora { config.alpha * r.sqrt() } else { config.alpha }) as f32
}
