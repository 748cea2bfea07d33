//! GGUF files: one file for configuration, tokenizer and weights.

mod header;
mod write;

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use candle_core::{
    Device, Result as CandleResult, Tensor,
    quantized::{
        ggml_file::qtensor_from_ggml,
        gguf_file::{TensorInfo, Value},
    },
};
use perennial_kernels::Precision;
use rayon::prelude::*;

use self::header::Header;
pub(crate) use self::write::{GgufTensor, write_gguf};
use super::{
    Architecture, ModelConfig, ModelError,
    layout::{self, Shapes},
    loaded::{Loaded, Tensors},
    names,
    source::Source,
};
use crate::metadata::{KeyError, Metadata};

/// Factors by which Llama 3's frequencies are divided; everything else about a model's frequencies is metadata.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// An open GGUF file: its metadata, and where its tensors are.
pub(super) struct Gguf<'a> {
    path: PathBuf,
    source: Source<'a>,
    metadata: BTreeMap<String, Value>,
    pub(super) infos: BTreeMap<String, TensorInfo>,
    data_start: u64,
}

impl<'a> Gguf<'a> {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        Self::read(Source::File(File::open(path).map_err(ModelError::io(path))?), path)
    }

    /// A file that lies in `source`; `path` is its place, for errors.
    pub(super) fn read(source: Source<'a>, path: &Path) -> Result<Self, ModelError> {
        let file_bytes = source.len().map_err(ModelError::io(path))?;
        let header = Header::read(BufReader::new(source.reader()), file_bytes);
        let Header { metadata, infos, data_start } = header.map_err(|problem| ModelError::NotAModel {
            path: path.to_owned(),
            problem: format!("not a GGUF file, or cut short: {problem}"),
        })?;
        let gguf = Self { path: path.to_owned(), source, metadata, infos, data_start };
        gguf.check_whole()?;
        Ok(gguf)
    }

    /// That the file is not a part of a split one: llama.cpp reads the others with it, and we do not.
    fn check_whole(&self) -> Result<(), ModelError> {
        let number = |key: &str| self.metadata().number(key);
        let at = |error: KeyError| ModelError::config(&self.path, error);
        let parts = number("split.count").map_err(at)?.unwrap_or(1);
        if parts <= 1 {
            return Ok(());
        }
        let part = number("split.no").map_err(at)?.map_or(0, |part| part.saturating_add(1));
        Err(ModelError::NotAModel {
            path: self.path.clone(),
            problem: format!(
                "is part {part} of a model that is split into {parts} files: merge them first, with llama.cpp's \
                 `llama-gguf-split --merge FIRST-PART.gguf MERGED.gguf`"
            ),
        })
    }

    pub(super) fn metadata(&self) -> Metadata<'_> {
        Metadata(&self.metadata)
    }

    /// The bytes of a tensor, as they lie in the file.
    pub(super) fn raw(&self, name: &str) -> Result<Vec<u8>, ModelError> {
        let info = self.infos.get(name).ok_or_else(|| self.problem(name, "is missing".to_owned()))?;
        let bytes = header::tensor_bytes(info).map_err(|problem| self.problem(name, problem))?;
        let mut raw = vec![0; bytes as usize];
        self.source.read_exact_at(&mut raw, self.data_start + info.offset).map_err(ModelError::io(&self.path))?;
        Ok(raw)
    }

    /// A tensor as f32, as it lies in the file.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        let raw = self.raw(name)?;
        let info = self.infos.get(name).ok_or_else(|| self.problem(name, "is missing".to_owned()))?;
        qtensor_from_ggml(info.ggml_dtype, &raw, info.shape.dims().to_vec(), &Device::Cpu)
            .and_then(|quantized| quantized.dequantize(&Device::Cpu))
            .map_err(|error| self.problem(name, format!("cannot be read: {error}")))
    }

    /// A tensor as f32, in Hugging Face's row order; `name` is Hugging Face's.
    pub(super) fn values(&self, file_name: &str, name: &str, config: &ModelConfig) -> Result<Tensor, ModelError> {
        let tensor = self.tensor(file_name)?;
        let Some(heads) = permuted_heads(name, config) else { return Ok(tensor) };
        unpermute(&tensor, heads)
            .map_err(|error| self.problem(file_name, format!("cannot be cut into {heads} heads: {error}")))
    }

    /// That the file has the tensors of a model of this configuration, and no others.
    pub(super) fn check_layout(&self, config: &ModelConfig) -> Result<(), ModelError> {
        let mut shapes = Shapes::new();
        for (name, info) in self.infos.iter().filter(|(name, _)| *name != ROPE_FACTORS) {
            let known = names::from_gguf(name)
                .ok_or_else(|| self.problem(name, "is not one that a model of the Llama family has".to_owned()))?;
            if shapes.insert(known, info.shape.dims().to_vec()).is_some() {
                return Err(self.problem(name, "is there under two names".to_owned()));
            }
        }
        layout::check(config, &shapes, &self.path)
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
                let tensor = self.values(file_name, &name, config)?;
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
pub(crate) fn permuted_heads(name: &str, config: &ModelConfig) -> Option<usize> {
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

/// What llama.cpp's converter does to the rows of such a tensor: `reshape(heads, 2, rows / heads / 2, …).swapaxes(1, 2)`.
pub(crate) fn permute(tensor: &Tensor, heads: usize) -> CandleResult<Tensor> {
    let rows = tensor.dim(0)?;
    let width = tensor.elem_count() / rows.max(1);
    tensor.reshape((heads, 2, rows / heads / 2, width))?.transpose(1, 2)?.contiguous()?.reshape(tensor.shape())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpermute_undoes_the_converters_permutation() {
        let rows = Tensor::arange(0_f32, 48., &Device::Cpu).unwrap().reshape((16, 3)).unwrap();
        let permuted = permute(&rows, 2).unwrap();
        assert_ne!(permuted.to_vec2::<f32>().unwrap(), rows.to_vec2::<f32>().unwrap());
        let back = unpermute(&permuted, 2).unwrap();
        assert_eq!(back.to_vec2::<f32>().unwrap(), rows.to_vec2::<f32>().unwrap());
    }
}
