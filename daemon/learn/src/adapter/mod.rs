//! Adapters in the format of PEFT.
//!
//! An adapter changes what linear layers of a base model give, by tensors of its own in each of them; how, is told by its
//! [kind](Kind): LoRA adds `scale · B · A` to their weights. It is an argument of the forward pass and never merged into the
//! weights.

mod error;
mod fingerprint;
mod interpolate;
mod jacobi;
mod kind;
mod passes;
mod peft_config;
mod peft_read;
mod peft_write;
mod rebase;
mod site;
mod spectrum;
mod targets;
mod tensor_name;
mod weights;

pub use error::AdapterError;
pub use interpolate::check_interpolate;
pub use kind::{Kind, LoraConfig, ShapeDifference};
pub(crate) use passes::{add_tensors, add_weights};
pub use rebase::{Rebased, check_rebase};
pub use site::{BaseModel, Site, SiteBase};
pub use spectrum::Spectrum;
pub(crate) use tensor_name::tensor_name;
pub use weights::Adapter;
#[cfg(test)]
pub(crate) use weights::tests::tiny_model;

pub use crate::model::Projection;

/// PEFT's file of the configuration.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// PEFT's file of the weights.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
