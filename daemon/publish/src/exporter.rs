use std::{error::Error, fmt, path::Path};

use crate::Champion;

/// Writes adapters in the forms of servers that do not load PEFT's: what the program around does for targets.
pub trait Exporter: fmt::Debug + Send + Sync {
    /// Writes an adapter in a form, by the name that the command line has for it, to a file or folder that is not there yet. After a
    /// crash it is there whole or not at all. Blocks.
    ///
    /// # Errors
    /// Where the form cannot carry it, or something cannot be read or written.
    fn export(&self, champion: &Champion, format: &str, out: &Path) -> Result<(), Box<dyn Error + Send + Sync>>;
}
