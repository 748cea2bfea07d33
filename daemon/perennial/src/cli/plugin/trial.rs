use std::path::{Path, PathBuf};

use anyhow::Context as _;
use perennial_reward::{Fault, FaultKind, LoadError, Outcome, Plugin, Refusal, Wasi};
use serde_json::{Map, Value};

use super::{
    super::{output, session::Session},
    build::Cache,
    case::Case,
    project::Built,
};
use crate::{config::RewardPlugin, rewards::Sandbox};

/// Above this size, compiling takes long enough for a person to wonder.
const SMALL_BYTES_MAX: u64 = 4 << 20;

/// Which plugin is tried, and against what.
#[derive(Debug, clap::Args)]
pub(super) struct Subject {
    /// The component's file, or the folder of its project
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// The folder of the cases [default: `cases` beside the plugin]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Let it have the deterministic stand-ins for system interfaces, as `wasi = "stubbed"` does
    #[arg(long)]
    wasi: bool,
}

/// A plugin under the configured limits, with its cases.
pub(super) struct Trial {
    sandbox: Sandbox,
    plugin: RewardPlugin,
    /// By file name.
    pub(super) cases: Vec<(String, Case)>,
}

impl Subject {
    /// Opens the sandbox and reads the cases.
    pub(super) fn open(&self, session: &Session) -> anyhow::Result<Trial> {
        session.log_quietly()?;
        let built = Built::find(&self.plugin)?;
        let cases = Case::read_all(self.cases.as_ref().unwrap_or(&built.cases))?;
        let wasi = if self.wasi { Wasi::Stubbed } else { Wasi::Denied };
        Ok(Trial { sandbox: sandbox(session)?, plugin: plugin(built.name(), built.file, wasi)?, cases })
    }
}

impl Trial {
    /// The plugin of each case, configured as it says.
    pub(super) fn load(&self) -> anyhow::Result<Vec<Loaded>> {
        let mut loaded: Vec<(&Map<String, Value>, Loaded)> = Vec::new();
        for (_, case) in &self.cases {
            let known = loaded.iter().find(|(config, _)| **config == case.config).map(|(_, plugin)| plugin.clone());
            let plugin = match known {
                Some(plugin) => plugin,
                None => load(&self.sandbox, &self.plugin, &case.config)?,
            };
            loaded.push((&case.config, plugin));
        }
        Ok(loaded.into_iter().map(|(_, plugin)| plugin).collect())
    }
}

/// A plugin, or what every completion comes to where its configuration is refused.
pub(super) type Loaded = Result<Plugin, Outcome>;

/// The sandbox as configured, with what it compiles kept in the user's cache.
pub(super) fn sandbox(session: &Session) -> anyhow::Result<Sandbox> {
    Sandbox::open(&session.config().reward, Some(&Cache::open()?.compiled()))
}

/// A plugin by its file alone.
pub(super) fn plugin(name: String, file: PathBuf, wasi: Wasi) -> anyhow::Result<RewardPlugin> {
    let bytes = file.metadata().with_context(|| file.display().to_string())?.len();
    if bytes > SMALL_BYTES_MAX {
        output::note(format_args!("{} MiB: compiling it takes a while the first time", bytes >> 20));
    }
    Ok(RewardPlugin {
        name,
        file,
        weight: 1.0,
        domains: Vec::new(),
        wasi,
        fuel_per_sample: None,
        deadline_seconds: None,
        memory_bytes_max: None,
        config: Map::new(),
    })
}

/// A configuration that the plugin's schema refuses is what a plugin under native tests calls a bad one.
fn load(sandbox: &Sandbox, plugin: &RewardPlugin, config: &Map<String, Value>) -> anyhow::Result<Loaded> {
    let configured = RewardPlugin { config: config.clone(), ..plugin.clone() };
    let error = match sandbox.load(Path::new(&plugin.file), &configured) {
        Ok(plugin) => return Ok(Ok(plugin)),
        Err(error) => error,
    };
    match error.downcast_ref::<LoadError>() {
        Some(LoadError { refusal: Refusal::Config(_), .. }) => {
            Ok(Err(Outcome::Faulted(Fault { kind: FaultKind::BadConfig, message: error.to_string() })))
        }
        _ => Err(error),
    }
}
