use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use perennial_durable::DurableError;

use reqwest::StatusCode;

use crate::LedgerError;

/// Why a target does not serve the champion, or it cannot be told what it serves.
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
    /// The link leads somewhere else than to an adapter.
    #[error("{}: is not a link to an adapter; move it away", .0.display())]
    NotALink(PathBuf),
    /// A file with a secret cannot be used.
    #[error("{}: {problem}", path.display())]
    Secret {
        /// As the configuration names it, or where systemd laid it.
        path: PathBuf,
        /// What is wrong with it and how to mend it.
        problem: String,
    },
    /// The configured address is none; a configuration with such a one is refused.
    #[error("the address cannot be used")]
    NoAddress,
    /// No answer came, or not in time.
    #[error("no answer from {place}: {}", innermost(source))]
    NoAnswer {
        /// Where the target is, without what may be secret of it.
        place: String,
        /// Its innermost cause is what is told; the others may name the address.
        source: reqwest::Error,
    },
    /// The target answers something else than success.
    #[error("{place} answers {status}{text}")]
    Refused {
        /// Where the target is, without what may be secret of it.
        place: String,
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of what it says, behind a colon.
        text: String,
    },
    /// The target says more than anything that is asked for takes.
    #[error("{place} answers with more than {bytes_max} bytes")]
    TooLong {
        /// Where the target is, without what may be secret of it.
        place: String,
        /// What may be read.
        bytes_max: usize,
    },
    /// The target does not do as its kind does.
    #[error("{place} {problem}")]
    Unlike {
        /// Where the target is, without what may be secret of it.
        place: String,
        /// What it does, and how to mend it.
        problem: String,
    },
    /// The champion cannot be had in the form that the target loads.
    #[error("the champion cannot be exported: {0}")]
    Export(#[source] Box<dyn Error + Send + Sync>),
    /// A test asked for a failure at this step.
    #[error("{step}: {source}")]
    Step {
        /// The failpoint's name.
        step: String,
        /// What it gave.
        source: io::Error,
    },
    /// The champion's files are not what its lineage says.
    #[error("{0}")]
    Unfit(#[source] LedgerError),
    /// The registry could not say who is in service, or keep what became of it.
    #[error("{0}")]
    Ledger(#[source] LedgerError),
}

impl PublishError {
    /// Whether the target answered with this status.
    pub(crate) fn is_status(&self, wanted: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }
}

/// The cause that says most: what stands above it only says that a request was sent.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> PublishError + use<> {
    let path = path.to_owned();
    move |source| PublishError::Io { action, path: path.clone(), source }
}

impl From<DurableError> for PublishError {
    fn from(DurableError { action, path, source }: DurableError) -> Self {
        Self::Io { action, path, source }
    }
}
