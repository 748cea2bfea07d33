use perennial_learn::train::grpo::GrpoConfig;
use serde::{Deserialize, Serialize};

use crate::config;

/// What learning from rewards depends on, beside the plugins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GrpoStage {
    /// The objective.
    pub(crate) config: GrpoConfig,
    /// How completions are drawn.
    pub(crate) rollout: config::Rollout,
    /// The sandbox's limits.
    pub(crate) sandbox: config::Reward,
}
