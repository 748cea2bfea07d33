use std::{
    io,
    path::{Path, PathBuf},
};

use perennial_durable::DurableError;
use perennial_types::Fingerprint;

use super::FILE_BYTES_MAX;

/// Why an adapter's folder could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system failed.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An adapter folder holds something else than plain files.
    #[error("{}: an adapter folder holds plain files with readable names only", .0.display())]
    NotAPlainFile(PathBuf),
    /// A file is too large to be part of an adapter.
    #[error("{}: {bytes} bytes; a file of an adapter has at most {FILE_BYTES_MAX}", path.display())]
    TooLarge {
        /// Within the adapter's folder.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// An adapter folder without files.
    #[error("{}: there are no adapter files", .0.display())]
    Empty(PathBuf),
    /// A stored adapter is not what its name says.
    #[error(
        "{}: its files have the fingerprint {found}, not {expected}: they were changed after they were written; \
         restore the folder from a backup, or roll back",
        path.display()
    )]
    Changed {
        /// Below `adapters/`.
        path: PathBuf,
        /// The fingerprint that the lineage names.
        expected: String,
        /// The fingerprint of what is there.
        found: String,
    },
}

pub(super) fn changed(path: PathBuf, expected: &Fingerprint, found: &Fingerprint) -> StoreError {
    StoreError::Changed { path, expected: expected.to_string(), found: found.to_string() }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path: path.clone(), source }
}

impl From<DurableError> for StoreError {
    fn from(DurableError { action, path, source }: DurableError) -> Self {
        Self::Io { action, path, source }
    }
}
