use serde::{Deserialize, Serialize};

/// What a candidate starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    /// The champion's adapter.
    Champion,
    /// The champion's adapter, in the configured shape where it has another.
    Rebase,
    /// A fresh adapter.
    Fresh,
}
