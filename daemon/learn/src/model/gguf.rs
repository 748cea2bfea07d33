use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use candle_core::{
    Device, Result as CandleResult, Tensor,
    quantized::gguf_file::{Content, TensorInfo, Value},
};
use perennial_kernels::Precision;
use rayon::prelude::*;

use super::{
    Architecture, ModelConfig, ModelError,
    loaded::{Loaded, Tensors},
    metadata::Metadata,
    names,
};

/// Factors by which Llama 3's frequencies are divided; everything else about a model's frequencies is metadata.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// An open GGUF file: its metadata, and where its tensors are.
pub(super) struct Gguf {
    path: PathBuf,
    metadata: HashMap<String, Value>,
    pub(super) infos: BTreeMap<String, TensorInfo>,
    data_start: u64,
}

impl Gguf {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        let content = Content::read(&mut BufReader::new(file)).map_err(|error| ModelError::NotAModel {
            path: path.to_owned(),
            problem: format!("not a GGUF file, or cut short: {error}"),
        })?;
        Ok(Self {
            path: path.to_owned(),
            metadata: content.metadata,
            infos: content.tensor_infos.into_iter().collect(),
            data_start: content.tensor_data_offset,
        })
    }

    pub(super) fn metadata(&self) -> Metadata<'_> {
        Metadata(&self.metadata)
    }

    /// A tensor as f32, as it lies in the file.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        let info = self.infos.get(name).ok_or_else(|| self.problem(name, "is missing".to_owned()))?;
        let mut file = File::open(&self.path).map_err(ModelError::io(&self.path))?;
        info.read(&mut file, self.data_start, &Device::Cpu)
            .and_then(|quantized| quantized.dequantize(&Device::Cpu))
            .map_err(|error| self.problem(name, format!("cannot be read: {error}")))
    }

    /// All weights by Hugging Face's names, q and k in Hugging Face's row order.
    pub(super) fn tensors(&self, config: &ModelConfig, precision: Precision) -> Result<Tensors, ModelError> {
        let files: Vec<&String> = self.infos.keys().filter(|name| *name != ROPE_FACTORS).collect();
        files
            .into_par_iter()
            .map(|file_name| {
                let name = names::from_gguf(file_name).ok_or_else(|| {
                    self.problem(file_name, "is not one that a model of the Llama family has".to_owned())
                })?;
                let tensor = self.tensor(file_name)?;
                let tensor = match permuted_heads(&name, config) {
                    Some(heads) => unpermute(&tensor, heads).map_err(|error| {
                        self.problem(file_name, format!("cannot be cut into {heads} heads: {error}"))
                    })?,
                    None => tensor,
                };
                let loaded = Loaded::new(&tensor, precision)
                    .map_err(|error| self.problem(file_name, format!("cannot be used: {error}")))?;
                Ok((name, loaded))
            })
            .collect()
    }

    fn problem(&self, tensor: &str, problem: String) -> ModelError {
        ModelError::Tensor { path: self.path.clone(), tensor: tensor.to_owned(), problem }
    }
}

/// llama.cpp rotates neighbouring values in these architectures, and its converter reorders the rows of q and k for that
/// (`LlamaModel.permute` of `convert_hf_to_gguf.py`). The number of heads of a tensor that is reordered so.
fn permuted_heads(name: &str, config: &ModelConfig) -> Option<usize> {
    match config.architecture {
        Architecture::Llama | Architecture::Mistral | Architecture::SmolLm3 => {}
        Architecture::Qwen2 | Architecture::Qwen3 => return None,
    }
    if name.contains(names::Q) {
        return Some(config.heads);
    }
    name.contains(names::K).then_some(config.kv_heads)
}

/// Neighbouring pairs `(0, 1), (2, 3), …` of each head's rows become halves: `0, 2, … , 1, 3, …`.
fn unpermute(tensor: &Tensor, heads: usize) -> CandleResult<Tensor> {
    let rows = tensor.dim(0)?;
    let width = tensor.elem_count() / rows.max(1);
    tensor.reshape((heads, rows / heads / 2, 2, width))?.transpose(1, 2)?.contiguous()?.reshape(tensor.shape())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What llama.cpp's converter does: `reshape(heads, 2, rows / heads / 2, …).swapaxes(1, 2)`.
    pub(crate) fn permute(tensor: &Tensor, heads: usize) -> Tensor {
        let rows = tensor.dim(0).unwrap();
        let cut = tensor.reshape((heads, 2, rows / heads / 2, tensor.elem_count() / rows)).unwrap();
        cut.transpose(1, 2).unwrap().contiguous().unwrap().reshape(tensor.shape()).unwrap()
    }

    #[test]
    fn unpermute_undoes_the_converters_permutation() {
        let rows = Tensor::arange(0_f32, 48., &Device::Cpu).unwrap().reshape((16, 3)).unwrap();
        let permuted = permute(&rows, 2);
        assert_ne!(permuted.to_vec2::<f32>().unwrap(), rows.to_vec2::<f32>().unwrap());
        let back = unpermute(&permuted, 2).unwrap();
        assert_eq!(back.to_vec2::<f32>().unwrap(), rows.to_vec2::<f32>().unwrap());
    }
}
