//! The sections about learning from rewards: `[grpo]` is the learner's own configuration, these are what stands around it.

use std::path::PathBuf;

use perennial_reward::{HostOptions, Wasi};
use perennial_types::Domain;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `[rollout]`: how completions are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rollout {
    pub(crate) top_p: f64,
    pub(crate) top_k: usize,
    pub(crate) min_p: f64,
    pub(crate) stop: Vec<String>,
    pub(crate) batch_max: usize,
    /// Completions are drawn here where it is unset.
    pub(crate) server: Option<RolloutServer>,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { top_p: 1.0, top_k: 0, min_p: 0.0, stop: Vec::new(), batch_max: 32, server: None }
    }
}

/// `[rollout.server]`: a server with vLLM's interface that draws the completions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolloutServer {
    pub(crate) url: String,
    /// Where the adapter under training is laid for the server; in the cycle's folder where it is unset.
    pub(crate) adapter_dir: Option<PathBuf>,
    #[serde(default = "timeout_seconds")]
    pub(crate) timeout_seconds: u64,
}

fn timeout_seconds() -> u64 {
    600
}

/// `[reward]`: the sandbox, and the plugins in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reward {
    pub(crate) max_fault_ratio: f64,
    pub(crate) threads: usize,
    pub(crate) fuel_per_sample: u64,
    pub(crate) deadline_seconds: f64,
    pub(crate) memory_bytes_max: u64,
    pub(crate) table_elements_max: usize,
    pub(crate) stack_bytes_max: usize,
    pub(crate) transfer_bytes_max: usize,
    pub(crate) log_lines_max: usize,
    pub(crate) log_line_bytes_max: usize,
    pub(crate) component_bytes_max: u64,
    pub(crate) config_bytes_max: usize,
    pub(crate) cache_bytes_max: u64,
    pub(crate) load_seconds_max: f64,
    pub(crate) load_memory_bytes_max: u64,
    pub(crate) plugin: Vec<RewardPlugin>,
}

impl Default for Reward {
    fn default() -> Self {
        let host = HostOptions::default();
        Self {
            max_fault_ratio: 0.1,
            threads: 1,
            fuel_per_sample: host.fuel_per_sample,
            deadline_seconds: host.deadline.as_secs_f64(),
            memory_bytes_max: host.memory_bytes_max,
            table_elements_max: host.table_elements_max,
            stack_bytes_max: host.stack_bytes_max,
            transfer_bytes_max: host.transfer_bytes_max,
            log_lines_max: host.log_lines_max,
            log_line_bytes_max: host.log_line_bytes_max,
            component_bytes_max: host.component_bytes_max,
            config_bytes_max: host.config_bytes_max,
            cache_bytes_max: host.cache_bytes_max,
            load_seconds_max: 120.0,
            load_memory_bytes_max: 2 << 30,
            plugin: Vec::new(),
        }
    }
}

/// `[[reward.plugin]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RewardPlugin {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    #[serde(default = "one")]
    pub(crate) weight: f64,
    /// Empty: all.
    #[serde(default)]
    pub(crate) domains: Vec<Domain>,
    #[serde(default)]
    pub(crate) wasi: Wasi,
    pub(crate) fuel_per_sample: Option<u64>,
    pub(crate) deadline_seconds: Option<f64>,
    pub(crate) memory_bytes_max: Option<u64>,
    /// Whatever its own schema asks for.
    #[serde(default)]
    pub(crate) config: Map<String, Value>,
}

fn one() -> f64 {
    1.0
}
