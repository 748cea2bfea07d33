/// Why a template ends without a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What was tried cannot be done, as Python or Jinja would say it.
    Error(String),
    /// The template called `raise_exception`.
    Raised(String),
    /// It takes more than it may; names the bound.
    Limit(&'static str),
}

/// What any step of a template gives.
pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// An error in the template or in what it was given.
pub(super) fn error<T>(message: impl Into<String>) -> Result<T> {
    Err(Fault::Error(message.into()))
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(message) | Self::Raised(message) => f.write_str(message),
            Self::Limit(bound) => write!(f, "it takes more than {bound}"),
        }
    }
}
