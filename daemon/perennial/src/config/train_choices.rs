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

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Schedule {
    /// In a straight line to zero.
    Linear,
    /// In half a cosine wave to zero.
    Cosine,
    /// Not at all.
    Constant,
}
