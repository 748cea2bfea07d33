//! LoRA adapters in the format of PEFT.

/// LoRA matrices for a base model.
pub struct Adapter;
