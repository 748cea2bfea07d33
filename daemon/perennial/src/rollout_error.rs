//! Why a rollout server gave no completions: told by what asks it, and judged by type beside all other errors.

use reqwest::StatusCode;

/// Why a rollout server gave no completions.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RolloutServerError {
    /// It could not be reached, or did not answer in time.
    #[error("no answer from {url}: {}", reason(source))]
    NoAnswer {
        /// What was asked.
        url: String,
        /// Its innermost cause is what is told.
        source: reqwest::Error,
    },
    /// It answered, and refused.
    #[error("{url} answers {status}: {text}")]
    Refused {
        /// What was asked.
        url: String,
        /// How it refused.
        status: StatusCode,
        /// The beginning of what it said.
        text: String,
    },
    /// Its answer is longer than what was asked for can be.
    #[error("{url} answers with more than {bytes_max} bytes, more than what was asked for can take")]
    TooLong {
        /// What was asked.
        url: String,
        /// The limit.
        bytes_max: u64,
    },
    /// Its answer is not what vLLM's would be.
    #[error("{url} answers in another form than vLLM's: {problem}")]
    Form {
        /// What was asked.
        url: String,
        /// What is wrong, as a sentence.
        problem: String,
    },
}

impl RolloutServerError {
    /// Whether the same request may be answered later: the server was not there, too slow, too busy or failed. What it
    /// refuses or answers wrongly, it will again.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            Self::TooLong { .. } | Self::Form { .. } => false,
        }
    }

    /// Whether it was refused with this status.
    pub(crate) fn is_status(&self, wanted: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }
}

/// reqwest says only what it did; the cause says why it failed.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took longer than rollout.server.timeout_seconds".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
