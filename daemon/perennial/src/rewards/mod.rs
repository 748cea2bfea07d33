//! Reward plugins in a cycle: frozen into its folder, run in the sandbox, asked while completions are drawn, and judging
//! suites.

mod environment;
mod history;
mod journal;
mod plugins;
pub(crate) mod prompts;
mod sandbox;
mod server;

use perennial_reward::{LoadError, TooManyFaults};

pub(crate) use self::{
    environment::PluginEnvironment,
    history::{History, chart},
    journal::Journal,
    plugins::{FrozenPlugin, Plugins, freeze},
    sandbox::Sandbox,
    server::Server,
};

/// Whether an error is the doing of a reward plugin, which no retry of the same cycle would mend.
pub(crate) fn is_of_plugins(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<LoadError>() || cause.is::<TooManyFaults>())
}
