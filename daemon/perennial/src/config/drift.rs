use serde::{Deserialize, Serialize};

/// `[drift]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Drift {
    pub(crate) interval_seconds: u64,
    pub(crate) scored_rows_max: u64,
}

impl Default for Drift {
    fn default() -> Self {
        Self { interval_seconds: 3600, scored_rows_max: 128 }
    }
}

/// `[trigger]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Trigger {
    pub(crate) drift: bool,
}
