use serde::{Deserialize, Serialize};

/// `[promotion]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Promotion {
    /// Whether a candidate that passed the gate waits for a person's word.
    pub(crate) hold: bool,
    /// How long.
    pub(crate) hold_seconds_max: u64,
}

impl Default for Promotion {
    fn default() -> Self {
        // A week: over days on which nobody is there.
        Self { hold: false, hold_seconds_max: 604_800 }
    }
}
