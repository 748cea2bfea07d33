use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use perennial_reward::{Host, HostOptions, Plugin, PluginOptions, Ticker};
use serde_json::Value;

use crate::config::{self, RewardPlugin};

/// The WebAssembly host with its clock.
pub(crate) struct Sandbox {
    host: Host,
    _ticker: Ticker,
}

impl Sandbox {
    /// A sandbox with the configured limits; compiled plugins are kept in `cache`, where there is one.
    ///
    /// # Errors
    /// Where the engine cannot be made, or others can write to the cache.
    pub(crate) fn open(config: &config::Reward, cache: Option<&Path>) -> anyhow::Result<Self> {
        let options = HostOptions {
            fuel_per_sample: config.fuel_per_sample,
            deadline: Duration::from_secs_f64(config.deadline_seconds),
            memory_bytes_max: config.memory_bytes_max,
            table_elements_max: config.table_elements_max,
            stack_bytes_max: config.stack_bytes_max,
            transfer_bytes_max: config.transfer_bytes_max,
            log_lines_max: config.log_lines_max,
            log_line_bytes_max: config.log_line_bytes_max,
            component_bytes_max: config.component_bytes_max,
            config_bytes_max: config.config_bytes_max,
            concurrent_calls_max: u32::try_from(config.threads).unwrap_or(u32::MAX),
            cache_dir: cache.map(PathBuf::from),
            cache_bytes_max: config.cache_bytes_max,
        };
        let host = Host::new(options)?;
        let ticker = Ticker::start(&host)?;
        Ok(Self { host, _ticker: ticker })
    }

    /// Compiles a plugin and checks it with its configuration.
    ///
    /// # Errors
    /// Where it is refused.
    pub(crate) fn load(&self, path: &Path, plugin: &RewardPlugin) -> anyhow::Result<Plugin> {
        let options = PluginOptions {
            config: Value::Object(plugin.config.clone()),
            wasi: plugin.wasi,
            fuel_per_sample: plugin.fuel_per_sample,
            deadline: plugin.deadline_seconds.map(Duration::from_secs_f64),
            memory_bytes_max: plugin.memory_bytes_max,
            name: plugin.name.clone(),
        };
        Ok(self.host.load(path, &options)?)
    }
}
