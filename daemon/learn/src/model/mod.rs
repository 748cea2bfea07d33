//! Base models: reading them from Hugging Face folders and GGUF files, and the decoder.

mod config;
mod decoder;
mod error;
mod rows;

use std::path::Path;

pub use config::{Architecture, ModelConfig, Rope, RopeScaling};
pub use decoder::{Attention, Decoder};
pub use error::ModelError;
use perennial_types::Fingerprint;
pub use rows::Rows;

use crate::tokenize::{ChatTemplate, Tokenizer};

/// A base model, ready to run. It never changes; adapters are arguments of what runs it. Cloning is cheap.
#[derive(Clone)]
pub struct Model {
    /// Its shape.
    pub config: ModelConfig,
    /// Its weights.
    pub decoder: Decoder,
    /// Its tokenizer, which also knows the tokens that end a generation.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// blake3 of its weight files.
    pub fingerprint: Fingerprint,
}

impl Model {
    /// Reads a model: a folder with Hugging Face files (`config.json`, `tokenizer.json`, `*.safetensors`), a GGUF file,
    /// or a folder with one GGUF file in it. Weights become f32.
    ///
    /// # Errors
    /// A [`ModelError`] that names the file, and the setting or tensor in it.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let _ = path;
        todo!()
    }

    /// Writes the model as a Hugging Face folder (`config.json`, `model.safetensors` in f32, `tokenizer.json`,
    /// `tokenizer_config.json` with the chat template, `generation_config.json`), so that transformers and PEFT can
    /// load a base that came as GGUF.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn export_hf(&self, folder: &Path) -> Result<(), ModelError> {
        let _ = folder;
        todo!()
    }
}
