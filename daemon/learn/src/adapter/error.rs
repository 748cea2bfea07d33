use std::path::PathBuf;

use perennial_durable::DurableError;

/// Why an adapter could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration is not JSON of the form that PEFT writes.
    #[error("{path} is not a PEFT adapter configuration: {source}", path = path.display())]
    Config {
        /// Within the adapter's folder.
        path: PathBuf,
        /// What is wrong, with its line.
        source: serde_json::Error,
    },
    /// The adapter uses something that this program cannot serve.
    #[error(
        "{path}: {feature} is not supported; only adapters on the linear layers of the decoder are, of the kinds {kinds}",
        path = path.display()
    )]
    Unsupported {
        /// The configuration.
        path: PathBuf,
        /// What it asks for.
        feature: String,
        /// The names of those that are.
        kinds: String,
    },
    /// The weights are not a safetensors file.
    #[error("{path} is not a safetensors file: {source}", path = path.display())]
    Safetensors {
        /// Within the adapter's folder.
        path: PathBuf,
        /// What is wrong.
        source: safetensors::SafeTensorError,
    },
    /// A tensor is missing, unknown, or of the wrong shape or type.
    #[error("{path}: tensor {name}: {problem}", path = path.display())]
    Tensor {
        /// Within the adapter's folder.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The adapter was made for another model.
    #[error("the adapter does not fit the model: {0}")]
    Mismatch(String),
    /// The configuration of a new adapter makes no sense.
    #[error("cannot make an adapter: {0}")]
    Invalid(String),
    /// A kind of adapter that needs the weights of its base model was to be made by that model's shape alone.
    #[error("an adapter of the kind {kind} cannot be made without the weights of its base model")]
    NeedsWeights {
        /// Its name in configurations.
        kind: &'static str,
    },
    /// The adapter is of a kind that cannot be brought into another shape, or is to become one.
    #[error(
        "an adapter of the kind {adapter} cannot be re-based into one of the kind {config}: only lora into lora can"
    )]
    NotRebased {
        /// The kind that it is.
        adapter: &'static str,
        /// The kind that is wanted.
        config: &'static str,
    },
    /// The adapter is of a kind that cannot be combined with another.
    #[error("adapters of the kind {kind} cannot be combined into one: only lora can")]
    NotCombined {
        /// By its name, such as `dora`.
        kind: &'static str,
    },
    /// A computation on the weights failed.
    #[error("the adapter's weights: {0}")]
    Tensors(#[from] candle_core::Error),
}

impl From<DurableError> for AdapterError {
    fn from(DurableError { action, path, source }: DurableError) -> Self {
        Self::Io { action, path, source }
    }
}
