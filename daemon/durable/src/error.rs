use std::{
    io,
    path::{Path, PathBuf},
};

/// A step on the way to a durable file that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct DurableError {
    /// What was tried, as a verb: `create`, `sync` …
    pub action: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Gives an I/O error its action and path.
pub fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError + use<> {
    let path = path.to_owned();
    move |source| DurableError { action, path, source }
}
