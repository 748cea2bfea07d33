use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use serde_json::{Map, Value};

use super::{
    ModelError, ModelSource, hf_tokenizer,
    json_file::{self, SETTINGS_BYTES_MAX},
    load::without_panic,
    safetensors::{Shards, weight_files},
};
use crate::tokenize::{ChatTemplate, Tokenizer};

/// The files of a Hugging Face folder whose decoder is not this crate's: what it says, how it speaks, and its tensors.
pub struct HfFolder {
    /// What `config.json` says, before anything is made of it.
    pub config: Map<String, Value>,
    /// Where `config.json` lies, for errors.
    pub config_path: PathBuf,
    /// Its tokenizer, which also knows the tokens that end a generation.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// Its weights, none of them read yet.
    pub tensors: HfTensors,
}

/// Open weight files, held against their sizes.
pub struct HfTensors {
    shards: Shards<'static>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl HfFolder {
    /// Opens a folder.
    ///
    /// # Errors
    /// A [`ModelError`] that names the file, and the setting or tensor in it; a GGUF file is none of these.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        without_panic(path, || match ModelSource::find(path)? {
            ModelSource::HfFolder(folder) => Self::read(&folder),
            ModelSource::Gguf(file) => Err(ModelError::Unsupported {
                path: file,
                what: "a GGUF file".to_owned(),
                supported: "Hugging Face folders, where the decoder is not the program's own",
            }),
        })
    }

    fn read(folder: &Path) -> Result<Self, ModelError> {
        let config_path = folder.join("config.json");
        let config = json_file::object(&config_path, SETTINGS_BYTES_MAX)?;
        let shards = Shards::open(&weight_files(folder)?)?;
        let shapes = shards.shapes()?;
        let (tokenizer, template) = hf_tokenizer::read(folder)?;
        let tokenizer = tokenizer.ending_turns_as(&template);
        let rows = config.get("vocab_size").and_then(Value::as_u64).and_then(|rows| usize::try_from(rows).ok());
        let tokenizer = rows.map_or(tokenizer.clone(), |rows| tokenizer.for_rows(rows));
        Ok(Self { config, config_path, tokenizer, template, tensors: HfTensors { shards, shapes } })
    }

    /// The `model_type` that a folder's `config.json` names; none where it cannot be read.
    pub fn model_type(path: &Path) -> Option<String> {
        let config = json_file::object(&path.join("config.json"), SETTINGS_BYTES_MAX).ok()?;
        config.get("model_type")?.as_str().map(str::to_owned)
    }
}

impl HfTensors {
    /// The shape of each tensor.
    pub fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.shapes
    }

    /// The values of one, in f32.
    ///
    /// # Errors
    /// Where it is not there, cannot be read, or is stored in a type other than f32, f16 and bf16.
    pub fn read(&self, name: &str) -> Result<Tensor, ModelError> {
        self.shards.read_f32(name)
    }
}
