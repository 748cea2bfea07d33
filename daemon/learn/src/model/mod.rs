//! Base models: reading them from Hugging Face folders and GGUF files, and the decoder.

mod adapter_weights;
mod assemble;
mod attention;
mod base_files;
mod branches;
pub(crate) mod composed;
mod config;
mod config_gguf;
mod config_hf;
mod decoder;
pub(crate) mod delta;
mod error;
mod export;
mod files;
mod gguf;
mod hf_folder;
mod hf_keys;
mod hf_layers;
mod hf_tokenizer;
mod json_file;
mod layer;
mod layout;
mod linear;
mod load;
mod loaded;
mod matrix;
mod names;
mod projection;
mod rope;
mod rope_hf;
mod rows;
mod safetensors;
mod safetensors_write;
mod source;
mod tape;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod weight_cache;
mod workspace;

pub use adapter_weights::AdapterWeights;
pub use attention::{Attention, Packing};
pub(crate) use base_files::{BaseFiles, StoredTensor};
pub use branches::Branches;
pub use config::{Architecture, Biases, ModelConfig};
pub use decoder::Decoder;
pub use error::ModelError;
pub use files::ModelSource;
pub(crate) use gguf::{GgufTensor, permute, permuted_heads, write_gguf};
pub use hf_folder::{HfFolder, HfTensors};
pub use layer::KeptRow;
pub use matrix::Matrix;
pub(crate) use names::to_gguf;
use perennial_types::{Body, Fingerprint, Prompt};
pub use projection::Projection;
pub use rope::{Rope, RopeScaling, Yarn};
pub use rows::Rows;
pub use safetensors::check_safetensors;
pub(crate) use safetensors_write::{Entry, write_safetensors};
pub use tape::Tape;
pub(crate) use workspace::Stored;
pub use workspace::Workspace;

use crate::tokenize::{self, ChatTemplate, EncodeError, Encoded, Notes, Tokenizer};

/// A base model, ready to run. It never changes; adapters are arguments of what runs it. Cloning is cheap.
#[derive(Clone)]
pub struct Model {
    /// Its shape, as `config.json` or the GGUF file tells it.
    pub config: ModelConfig,
    /// Its weights, in the precision that it computes in.
    pub decoder: Decoder,
    /// Its tokenizer, which also knows the tokens that end a generation.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// blake3 of its weight files.
    pub fingerprint: Fingerprint,
}

impl Model {
    /// The same model, which reads prompts that are strings as one user turn where it has a chat template, or as plain text.
    #[must_use]
    pub fn with_prompt_as_chat(&self, prompt_as_chat: bool) -> Self {
        Self { template: self.template.clone().with_prompt_as_chat(prompt_as_chat), ..self.clone() }
    }

    /// [`tokenize::encode`] with this model's tokenizer and template.
    ///
    /// # Errors
    /// As there.
    pub fn encode(&self, body: &Body, length_max: usize) -> Result<Encoded, EncodeError> {
        self.encode_with_notes(body, length_max).map(|(encoded, _)| encoded)
    }

    /// [`tokenize::encode_with_notes`] with this model's tokenizer and template.
    ///
    /// # Errors
    /// As there.
    pub fn encode_with_notes(&self, body: &Body, length_max: usize) -> Result<(Encoded, Notes), EncodeError> {
        tokenize::encode_with_notes(body, &self.tokenizer, &self.template, length_max)
    }

    /// [`tokenize::encode_preference`] with this model's tokenizer and template.
    ///
    /// # Errors
    /// As there.
    pub fn encode_preference(&self, body: &Body, length_max: usize) -> Result<([Encoded; 2], Notes), EncodeError> {
        tokenize::encode_preference(body, &self.tokenizer, &self.template, length_max)
    }

    /// [`tokenize::encode_prompt`] with this model's tokenizer and template.
    ///
    /// # Errors
    /// As there.
    pub fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, EncodeError> {
        tokenize::encode_prompt(prompt, &self.tokenizer, &self.template)
    }
}
