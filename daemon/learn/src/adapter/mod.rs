//! Adapters in the format of PEFT.
//!
//! An adapter changes what linear layers of a base model give, by tensors of its own in each of them; how, is told by its
//! [kind](Kind): LoRA adds `scale · B · A` to their weights. It is an argument of the forward pass and never merged into the
//! weights.

mod config;
mod error;
mod fingerprint;
mod kind;
mod peft_config;
mod peft_files;
mod projection;
mod rebase;
mod site;
mod targets;
mod weights;

pub use config::{LoraConfig, ShapeDifference};
pub use error::AdapterError;
pub use kind::Kind;
pub(crate) use peft_files::tensor_name;
pub use projection::Projection;
pub use rebase::{Rebased, check_rebase};
pub use site::{BaseModel, Site, SiteBase};
pub use weights::Adapter;
#[cfg(test)]
pub(crate) use weights::tests::tiny_model;

/// PEFT's file of the configuration.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// PEFT's file of the weights.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
