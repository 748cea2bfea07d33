use crate::{DomainError, JsonError};

/// Why a line is no sample. The text says what was found and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The line is not JSON, or would not be read as it was written.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The line is JSON, but no object.
    #[error("a row is a JSON object, not {0}")]
    NotAnObject(&'static str),
    /// No dialect claims it.
    #[error("no dialect reads a row with {found}: there are {known}")]
    Dialect {
        /// Its fields.
        found: String,
        /// The dialects that there are.
        known: String,
    },
    /// Several dialects claim it.
    #[error("the row is ambiguous: with {found} it reads as {claiming}; leave the fields of one")]
    Ambiguous {
        /// Its fields.
        found: String,
        /// The dialects that claim it.
        claiming: String,
    },
    /// A field holds something else than it should.
    #[error("`{field}` {problem}")]
    Field {
        /// The field, with its place in a list: `messages[2].role`.
        field: String,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// The domain is not a name.
    #[error(transparent)]
    Domain(#[from] DomainError),
}
