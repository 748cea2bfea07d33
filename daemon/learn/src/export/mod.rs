//! Adapters in the forms that other programs load: alone, or merged into their base model.
//!
//! Each form is a file with its `FormatKind` and a line in [`Format::ALL`]; copy from `mlx.rs` for an adapter alone, from
//! `merged_safetensors.rs` for a whole model. What a form cannot carry it refuses by name, and what is written is written tensor by
//! tensor, whole or not at all.

mod dtype;
mod error;
mod gguf;
mod gguf_lora;
mod job;
mod merge;
mod merged_gguf;
mod merged_safetensors;
mod mlx;
mod peft;
#[cfg(test)]
mod tests;

use std::{fmt, path::Path};

pub use dtype::Dtype;
pub use error::ExportError;
pub use job::Job;
use job::Opened;

/// A form that an adapter is written in.
pub(crate) trait FormatKind: Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// What it is and who loads it, as a line of help.
    fn about(&self) -> &'static str;

    /// Whether it is one file; else it is a folder.
    fn is_file(&self) -> bool;

    /// What numbers can be stored as, where that can be chosen.
    fn dtypes(&self) -> &'static [Dtype];

    /// Writes it to `out`: a file that is not there yet, or an empty folder.
    ///
    /// # Errors
    /// Where the form cannot carry such an adapter or model, or something cannot be read or written.
    fn write(&self, opened: &Opened<'_>, out: &Path) -> Result<(), ExportError>;
}

/// The form that an adapter is written in.
#[derive(Clone, Copy)]
pub struct Format(&'static dyn FormatKind);

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self(&peft::Peft),
        Self(&gguf_lora::GgufLora),
        Self(&mlx::Mlx),
        Self(&merged_safetensors::MergedSafetensors),
        Self(&merged_gguf::MergedGguf),
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What it is and who loads it, as a line of help.
    pub fn about(self) -> &'static str {
        self.0.about()
    }

    /// Whether it is one file; else it is a folder.
    pub fn is_file(self) -> bool {
        self.0.is_file()
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
