use std::path::{Path, PathBuf};

use perennial_durable::DurableError;

use crate::{metadata::KeyError, tokenize::TokenizerError};

/// Why a base model cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// As the caller gave it, or a file within it.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path holds no model, or one that is not whole.
    #[error("{}: {problem}", path.display())]
    NotAModel {
        /// As the caller gave it, or a file within it.
        path: PathBuf,
        /// What is missing, and what would do.
        problem: String,
    },
    /// A setting of the model is missing or makes no sense.
    #[error("{}: `{key}` {problem}", path.display())]
    Config {
        /// The file that holds the setting.
        path: PathBuf,
        /// The setting, as the file names it.
        key: String,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// The model needs something that this decoder does not do.
    #[error("{}: {what} is not supported; supported are {supported}", path.display())]
    Unsupported {
        /// The file that asks for it.
        path: PathBuf,
        /// What it asks for, by name.
        what: String,
        /// What there is instead.
        supported: &'static str,
    },
    /// A tensor is missing, has another shape than the configuration says, or cannot be decoded.
    #[error("{}: tensor `{tensor}` {problem}", path.display())]
    Tensor {
        /// The GGUF file, or the shard that the tensor is said to be in.
        path: PathBuf,
        /// The tensor, as the file names it.
        tensor: String,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// The tokenizer or the chat template cannot be read.
    #[error("{}: {source}", path.display())]
    Tokenizer {
        /// The file that holds it.
        path: PathBuf,
        /// What is wrong.
        source: TokenizerError,
    },
    /// A tensor operation failed.
    #[error("building the decoder: {0}")]
    Candle(#[from] candle_core::Error),
}

impl ModelError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn config(path: &Path, error: KeyError) -> Self {
        Self::Config { path: path.to_owned(), key: error.key, problem: error.problem }
    }

    pub(crate) fn tokenizer(path: impl Into<PathBuf>) -> impl FnOnce(TokenizerError) -> Self {
        let path = path.into();
        move |source| Self::Tokenizer { path, source }
    }
}

impl From<DurableError> for ModelError {
    fn from(DurableError { path, source, .. }: DurableError) -> Self {
        Self::Io { path, source }
    }
}
