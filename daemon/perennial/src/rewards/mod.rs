//! Reward plugins in a cycle: frozen into its folder, run in the sandbox, asked while completions are drawn, and judging
//! suites.

mod environment;
mod history;
mod journal;
pub(crate) mod loader;
mod plugins;
pub(crate) mod prompts;
pub(crate) mod runners;
mod sandbox;
mod stage;

pub(crate) use self::{
    environment::PluginEnvironment,
    history::{History, chart},
    journal::Journal,
    plugins::{FrozenPlugin, Plugins, freeze},
    sandbox::Sandbox,
    stage::GrpoStage,
};
