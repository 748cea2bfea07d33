use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// Limits that hold for every plugin of a host. Each is enforced; a plugin that goes past one faults or times out and is
/// named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostOptions {
    /// The budget of one sample, in wasmtime's units of about one instruction; a call gets this times its samples.
    /// The same plugin, config and task spend the same fuel on every machine. Default: 500 million, about half a second.
    pub fuel_per_sample: u64,
    /// How long one call may take by the clock, whatever it does. A backstop behind the fuel: what it cuts off is no
    /// fault but a time-out, for the machine may have been busy. Only a running [`Ticker`](crate::Ticker) enforces it.
    /// Default: 30 s.
    pub deadline: Duration,
    /// The linear memory of one call, all memories together, in bytes. Default: 64 MiB; guests in Python and JavaScript
    /// need 256 MiB.
    pub memory_bytes_max: u64,
    /// The elements of each table. Default: 65 536.
    pub table_elements_max: usize,
    /// The stack of the guest's calls, in bytes: 1 MiB at most, for it is part of the calling thread's. Default: 512 KiB.
    pub stack_bytes_max: usize,
    /// What a guest may hand to the host in one go (its verdicts, or one log message), in bytes. Default: 4 MiB.
    pub transfer_bytes_max: usize,
    /// The log lines kept of one call; further ones are counted and dropped. Default: 32.
    pub log_lines_max: usize,
    /// The length of one log line, in bytes; longer ones are cut. Default: 512.
    pub log_line_bytes_max: usize,
    /// The size of a plugin's file, in bytes. Default: 64 MiB.
    pub component_bytes_max: u64,
    /// The size of a plugin's configuration as JSON, in bytes. Default: 256 KiB.
    pub config_bytes_max: usize,
    /// The calls that run at the same time; further ones wait. Default: 8.
    pub concurrent_calls_max: u32,
    /// Where compiled plugins are kept: a folder that this program alone may write, made if it is missing. Without one,
    /// each load compiles. Default: none.
    pub cache_dir: Option<PathBuf>,
    /// What the cache may take, in bytes; beyond it, the entries unused for longest go. A Python plugin takes about 60 MiB.
    /// Default: 1 GiB.
    pub cache_bytes_max: u64,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            fuel_per_sample: 500_000_000,
            deadline: Duration::from_secs(30),
            memory_bytes_max: 64 * MIB,
            table_elements_max: 65_536,
            stack_bytes_max: 512 << 10,
            transfer_bytes_max: 4 << 20,
            log_lines_max: 32,
            log_line_bytes_max: 512,
            component_bytes_max: 64 * MIB,
            config_bytes_max: 256 << 10,
            concurrent_calls_max: 8,
            cache_dir: None,
            cache_bytes_max: 1024 * MIB,
        }
    }
}

/// Which system interfaces a plugin may import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wasi {
    /// None: the plugin sees its config and the task, and nothing else.
    #[default]
    Denied,
    /// Deterministic stand-ins for what the runtimes of Python and JavaScript ask for at start: a clock that stands still,
    /// seeded random bytes, no arguments, no environment, no files, no network; what is printed goes to the log.
    Stubbed,
}

/// One plugin as the operator configured it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginOptions {
    /// The name in configuration, metrics, faults and reports.
    pub name: String,
    /// The configuration; the plugin's `config-schema` must accept it.
    pub config: Value,
    /// Which system interfaces it may import.
    pub wasi: Wasi,
    /// For this plugin, in place of [`HostOptions::fuel_per_sample`].
    pub fuel_per_sample: Option<u64>,
    /// For this plugin, in place of [`HostOptions::deadline`].
    pub deadline: Option<Duration>,
    /// For this plugin, in place of [`HostOptions::memory_bytes_max`].
    pub memory_bytes_max: Option<u64>,
}

impl PluginOptions {
    /// A plugin with an empty configuration, the host's limits and no system interfaces.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            config: Value::Object(serde_json::Map::new()),
            wasi: Wasi::Denied,
            fuel_per_sample: None,
            deadline: None,
            memory_bytes_max: None,
        }
    }
}
