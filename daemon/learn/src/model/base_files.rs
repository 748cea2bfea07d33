//! A base model as it lies on the disk, read tensor by tensor: for those who write another model of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use candle_core::{
    Tensor,
    quantized::{GgmlDType, gguf_file::Value},
};
use perennial_durable::{create_folder_durably, write_durably};
use safetensors::Dtype;

use super::{
    ModelConfig, ModelError, ModelSource, export,
    gguf::{Gguf, ROPE_FACTORS},
    hf_tokenizer,
    json_file::{self, TOKENIZER_BYTES_MAX},
    layout,
    load::without_panic,
    names,
    safetensors::{Shards, weight_files},
};
use crate::tokenize::{self, ChatTemplate, Tokenizer};

/// Files of a Hugging Face folder that are a part of the model besides its weights, by the ends of their names.
const SETTINGS_ENDS: [&str; 4] = [".json", ".jinja", ".txt", ".model"];
/// What ends so too and speaks of weights.
const INDEX_END: &str = ".index.json";
/// More such files than any folder has.
const SETTINGS_MAX: usize = 256;
/// Where transformers looks for more templates.
const TEMPLATES: &str = "additional_chat_templates";

/// Open files of a base model, held against their sizes.
pub(crate) struct BaseFiles {
    pub(crate) path: PathBuf,
    pub(crate) config: ModelConfig,
    stored: Stored,
}

enum Stored {
    Hf(Shards<'static>),
    Gguf(Box<Gguf<'static>>),
}

/// A tensor of the files.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    /// Hugging Face's.
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    /// What its values are stored as, of which GGUF files know more.
    pub(crate) dtype: GgmlDType,
    file_name: String,
}

impl BaseFiles {
    /// Opens a Hugging Face folder or a GGUF file.
    ///
    /// # Errors
    /// A [`ModelError`] that names the file, and the setting or tensor in it.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        without_panic(path, || match ModelSource::find(path)? {
            ModelSource::HfFolder(folder) => {
                let config = ModelConfig::read(&folder)?;
                let shards = Shards::open(&weight_files(&folder)?)?;
                layout::check(&config, &shards.shapes()?, &folder)?;
                Ok(Self { path: folder, config, stored: Stored::Hf(shards) })
            }
            ModelSource::Gguf(file) => {
                let gguf = Gguf::open(&file)?;
                let config = ModelConfig::from_gguf(&gguf, &file)?;
                gguf.check_layout(&config)?;
                Ok(Self { path: file, config, stored: Stored::Gguf(Box::new(gguf)) })
            }
        })
    }

    /// All tensors, by name.
    ///
    /// # Errors
    /// Where one is stored in a type that cannot be read.
    pub(crate) fn tensors(&self) -> Result<Vec<StoredTensor>, ModelError> {
        let mut found = BTreeMap::new();
        match &self.stored {
            Stored::Hf(shards) => {
                for (name, dims, dtype) in shards.stored() {
                    let dtype = plain(dtype).ok_or_else(|| ModelError::Tensor {
                        path: self.path.clone(),
                        tensor: name.clone(),
                        problem: format!("is stored as {dtype:?}; f32, f16 and bf16 can be read"),
                    })?;
                    found.insert(name.clone(), StoredTensor { file_name: name.clone(), name, dims, dtype });
                }
            }
            Stored::Gguf(gguf) => {
                for (file_name, info) in &gguf.infos {
                    let Some(name) = names::from_gguf(file_name) else { continue };
                    let (dims, dtype) = (info.shape.dims().to_vec(), info.ggml_dtype);
                    found.insert(name.clone(), StoredTensor { name, dims, dtype, file_name: file_name.clone() });
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// The values of one in f32, in Hugging Face's row order.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn values(&self, tensor: &StoredTensor) -> Result<Tensor, ModelError> {
        without_panic(&self.path, || match &self.stored {
            Stored::Hf(shards) => shards.read_f32(&tensor.name),
            Stored::Gguf(gguf) => gguf.values(&tensor.file_name, &tensor.name, &self.config),
        })
    }

    /// What a GGUF file says besides its tensors; `None` where the files are others.
    pub(crate) fn gguf_metadata(&self) -> Option<&BTreeMap<String, Value>> {
        match &self.stored {
            Stored::Hf(_) => None,
            Stored::Gguf(gguf) => Some(gguf.metadata().0),
        }
    }

    /// The bytes of a tensor of a GGUF file as they lie there, so that nothing is lost where its type stays; `None` where the files
    /// are others.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn gguf_bytes(&self, tensor: &StoredTensor) -> Result<Option<Vec<u8>>, ModelError> {
        match &self.stored {
            Stored::Hf(_) => Ok(None),
            Stored::Gguf(gguf) => gguf.raw(&tensor.file_name).map(Some),
        }
    }

    /// Llama 3's factors of the frequencies where a GGUF file has them, as they lie there.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn gguf_rope_factors(&self) -> Result<Option<Vec<f32>>, ModelError> {
        match &self.stored {
            Stored::Gguf(gguf) if gguf.infos.contains_key(ROPE_FACTORS) => {
                Ok(Some(gguf.tensor(ROPE_FACTORS)?.flatten_all()?.to_vec1()?))
            }
            _ => Ok(None),
        }
    }

    /// Its tokenizer and chat template.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn tokenizer(&self) -> Result<(Tokenizer, ChatTemplate), ModelError> {
        let (tokenizer, template) = without_panic(&self.path, || match &self.stored {
            Stored::Hf(_) => hf_tokenizer::read(&self.path),
            Stored::Gguf(gguf) => tokenize::from_gguf(gguf.metadata()).map_err(ModelError::tokenizer(&self.path)),
        })?;
        Ok((tokenizer.ending_turns_as(&template).for_rows(self.config.vocab_size), template))
    }

    /// Writes all of a Hugging Face folder but the weights: the files that are there, or what a GGUF file says in their form.
    /// `dtype` is what the weights will be, as torch calls it.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    pub(crate) fn write_settings(&self, folder: &Path, dtype: &str) -> Result<(), ModelError> {
        let Stored::Hf(_) = &self.stored else {
            let (tokenizer, template) = self.tokenizer()?;
            return export::write_settings(folder, &self.config, &tokenizer, &template, dtype);
        };
        copy_settings(&self.path, folder)?;
        let templates = self.path.join(TEMPLATES);
        if templates.is_dir() {
            create_folder_durably(&folder.join(TEMPLATES))?;
            copy_settings(&templates, &folder.join(TEMPLATES))?;
        }
        Ok(())
    }
}

fn copy_settings(from: &Path, to: &Path) -> Result<(), ModelError> {
    for entry in std::fs::read_dir(from).map_err(ModelError::io(from))?.take(SETTINGS_MAX) {
        let path = entry.map_err(ModelError::io(from))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_setting = SETTINGS_ENDS.iter().any(|end| name.ends_with(end)) && !name.ends_with(INDEX_END);
        if is_setting && path.is_file() {
            write_durably(&to.join(&name), &json_file::read(&path, TOKENIZER_BYTES_MAX)?)?;
        }
    }
    Ok(())
}

/// A type of safetensors' as ggml calls it; `None` for one that is not read.
fn plain(dtype: Dtype) -> Option<GgmlDType> {
    match dtype {
        Dtype::F32 => Some(GgmlDType::F32),
        Dtype::F16 => Some(GgmlDType::F16),
        Dtype::BF16 => Some(GgmlDType::BF16),
        _ => None,
    }
}
