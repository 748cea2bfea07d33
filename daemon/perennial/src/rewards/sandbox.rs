use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use perennial_reward::{Host, HostOptions, Inspection, Loader, Plugin, PluginOptions, Ticker};
use serde_json::Value;

use super::loader::{LoadLimits, ProcessLoader};
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
        let host = match loader(config) {
            Some(loader) => Host::with_loader(options, loader),
            None => Host::new(options),
        }?;
        let ticker = Ticker::start(&host)?;
        Ok(Self { host, _ticker: ticker })
    }

    /// A plugin's file, if it is one.
    ///
    /// # Errors
    /// Where it cannot be read, or is too large.
    pub(crate) fn read(&self, path: &Path, plugin: &RewardPlugin) -> anyhow::Result<Vec<u8>> {
        Ok(self.host.read(path, &plugin.name)?)
    }

    /// What a plugin's bytes say it is.
    ///
    /// # Errors
    /// Where they are no plugin's.
    pub(crate) fn inspect(&self, bytes: &[u8], name: &str) -> anyhow::Result<Inspection> {
        Ok(self.host.inspect_bytes(bytes, name)?)
    }

    /// Compiles a plugin and checks it with its configuration.
    ///
    /// # Errors
    /// Where it is refused.
    pub(crate) fn load(&self, path: &Path, plugin: &RewardPlugin) -> anyhow::Result<Plugin> {
        self.load_bytes(&self.read(path, plugin)?, plugin)
    }

    /// As [`load`](Self::load), of a file that was read.
    ///
    /// # Errors
    /// Where it is refused.
    pub(crate) fn load_bytes(&self, bytes: &[u8], plugin: &RewardPlugin) -> anyhow::Result<Plugin> {
        let options = PluginOptions {
            config: Value::Object(plugin.config.clone()),
            wasi: plugin.wasi,
            fuel_per_sample: plugin.fuel_per_sample,
            deadline: plugin.deadline_seconds.map(Duration::from_secs_f64),
            memory_bytes_max: plugin.memory_bytes_max,
            name: plugin.name.clone(),
        };
        Ok(self.host.load_bytes(bytes, &options)?)
    }
}

/// The loader of this program. The unit tests' program is another: there, the host loads by itself.
fn loader(config: &config::Reward) -> Option<Arc<dyn Loader>> {
    let limits = LoadLimits { seconds_max: config.load_seconds_max, memory_bytes_max: config.load_memory_bytes_max };
    (!cfg!(test)).then(|| Arc::new(ProcessLoader::new(limits)) as Arc<dyn Loader>)
}
