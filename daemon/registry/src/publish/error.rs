use std::{
    io,
    path::{Path, PathBuf},
};

use perennial_durable::DurableError;
use perennial_types::{AdapterId, Fingerprint};

use super::folder::FILE_BYTES_MAX;
use crate::RegistryError;

/// Why an adapter could not be stored or published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
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
        /// The file.
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
        /// The folder.
        path: PathBuf,
        /// The fingerprint that the lineage names.
        expected: String,
        /// The fingerprint of what is there.
        found: String,
    },
    /// The link leads somewhere else than to an adapter.
    #[error("{}: is not a link to an adapter; move it away", .0.display())]
    NotALink(PathBuf),
    /// The registry could not say who is in service.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Why the champion could not be changed, or not where production reads it.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The registry refused or failed: nothing changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The adapter that was to be put in service is not what its lineage says, or cannot be read: nothing changed.
    #[error("{adapter} cannot be put in service: {source}")]
    Unfit {
        /// Which.
        adapter: AdapterId,
        /// What is wrong with it.
        source: PublishError,
    },
    /// The champion is another one now, but production still reads the one before.
    #[error(
        "the change is recorded, but the link that production reads could not be switched: {0}; it is tried again until it is"
    )]
    NotSwitched(#[source] PublishError),
}

pub(super) fn changed(path: PathBuf, expected: &Fingerprint, found: &Fingerprint) -> PublishError {
    PublishError::Changed { path, expected: expected.to_string(), found: found.to_string() }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> PublishError + use<> {
    let path = path.to_owned();
    move |source| PublishError::Io { action, path: path.clone(), source }
}

impl From<DurableError> for PublishError {
    fn from(DurableError { action, path, source }: DurableError) -> Self {
        Self::Io { action, path, source }
    }
}
