//! Files that, after a crash or a power cut, are whole or absent. Everything that the program keeps is written through here.
//!
//! - [`write_durably`], [`DurableFile`]: a whole file, at once or piece by piece.
//! - [`AppendFile`]: a file of lines that grows, and whose end a crash may tear.
//! - [`create_folder_durably`], [`sync_folder`], [`sync_folders`], [`sync_tree`]: names, which need a sync of their own.
//! - [`sweep_temporary`], [`sweep_tree`]: what unfinished writes left, removed at start.
//! - [`failpoint`]: named places where tests make the program fail.

mod append;
mod error;
pub mod failpoint;
mod file;
mod folder;
mod sweep;

pub use append::AppendFile;
pub use error::{DurableError, failed};
pub use file::{DurableFile, write_durably};
pub use folder::{
    create_folder_durably, create_folder_of_mode, parent, rename_durably, sync_folder, sync_folders, sync_tree,
};
pub use sweep::{is_temporary, sweep_temporary, sweep_tree};
