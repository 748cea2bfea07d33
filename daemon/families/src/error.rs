use std::path::PathBuf;

/// Why a model is not run.
#[derive(Debug, thiserror::Error)]
pub enum FamilyError {
    /// A key of `config.json` is missing, makes no sense, or asks for what candle does not compute.
    #[error("{}: `{key}` {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// With its tables, such as `rope_parameters.rope_theta`.
        key: String,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// No family claims the model.
    #[error("{}: the engine candle does not know the architecture `{model_type}`; it knows {known}", path.display())]
    Unknown {
        /// The file that names it.
        path: PathBuf,
        /// Its `model_type`.
        model_type: String,
        /// The `model_type` of every family, with commas between.
        known: String,
    },
    /// The weights are not those of a model of this configuration.
    #[error("the weights of {}: {problem}", path.display())]
    Weights {
        /// The configuration that they do not fit.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A sequence is longer than the model takes.
    #[error("{tokens} tokens are more than the {positions_max} that the engine candle takes of this model")]
    TooLong {
        /// Its length.
        tokens: usize,
        /// The most.
        positions_max: usize,
    },
    /// A token that the model has no row for.
    #[error("the token {token} is none of the {vocab_size} that the model knows")]
    Token {
        /// Its id.
        token: u32,
        /// The rows of its embeddings.
        vocab_size: usize,
    },
    /// An operation failed.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
    /// The library panicked; what it held of the sequence is gone.
    #[error("candle failed on this model: {0}")]
    Panic(String),
}
