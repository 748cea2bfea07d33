use serde::{Deserialize, Serialize};

/// `[train.slow]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slow {
    /// 0: there is one time scale.
    pub(crate) every_cycles: u64,
    pub(crate) alpha: f64,
}

impl Default for Slow {
    fn default() -> Self {
        Self { every_cycles: 0, alpha: 0.5 }
    }
}
