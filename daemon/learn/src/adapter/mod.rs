//! LoRA adapters in the format of PEFT.
//!
//! An adapter adds `scale · B · A` to linear layers of a base model (arXiv 2106.09685). It is an argument of the forward
//! pass and never merged into the weights.

mod config;
mod error;
mod fingerprint;
mod peft_config;
mod peft_files;
mod projection;
mod rebase;
mod targets;
mod weights;

pub use config::{LoraConfig, ShapeDifference};
pub use error::AdapterError;
pub(crate) use peft_files::tensor_name;
pub use projection::Projection;
pub use rebase::Rebased;
#[cfg(test)]
pub(crate) use weights::tests::tiny_model;
pub use weights::{Adapter, LoraSlot};

/// PEFT's file of the configuration.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// PEFT's file of the weights.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
