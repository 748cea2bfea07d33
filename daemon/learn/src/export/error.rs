use std::path::PathBuf;

use perennial_durable::DurableError;

use crate::{adapter::AdapterError, model::ModelError, tokenize::TokenizerError};

/// Why an adapter cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The adapter cannot be read, or is for another model.
    #[error("{0}")]
    Adapter(#[from] AdapterError),
    /// The base model cannot be read, or what comes of it written.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// A file cannot be written.
    #[error("{0}")]
    Durable(#[from] DurableError),
    /// The form has no place for something that the adapter or its base model has.
    #[error("{format} cannot carry {what}: {instead}")]
    Refused {
        /// The form, by its name.
        format: &'static str,
        /// What it has no place for.
        what: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// llama.cpp would read texts otherwise than the base model's tokenizer does.
    #[error("a GGUF file cannot say how the base model reads texts: {source}; export merged-safetensors instead")]
    Tokenizer {
        /// What it cannot say.
        source: TokenizerError,
    },
    /// The form stores numbers in its own way, or not in this one.
    #[error("{format} is not written as {dtype}: {choice}")]
    Dtype {
        /// The form, by its name.
        format: &'static str,
        /// What was asked for.
        dtype: &'static str,
        /// What can be asked for.
        choice: String,
    },
    /// Something has the name already.
    #[error("{}: is there already; name another place, or remove it first", .0.display())]
    Exists(PathBuf),
}

impl From<candle_core::Error> for ExportError {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}
