//! Puts the parts together. Only here is it known which part stands behind which port.

use std::{fs, sync::Arc};

use anyhow::Context as _;
use perennial_data::{durable, segment};
use perennial_registry::{Registry, publish};
use tracing::warn;

use crate::{
    config::{Config, SharedConfig},
    cycle::StateCycles,
    engine::Engine,
    indexer::StateIndexer,
    intake::StateIntake,
    ports::{Context, Ports},
    replay::BufferLock,
    state::StateDir,
    telemetry::Telemetry,
};

/// The parts of a state directory, whose lock the caller holds if anything is to be written.
///
/// # Errors
/// Where the registry cannot be opened.
pub(crate) fn wire(
    config: Config,
    state: StateDir,
    telemetry: Telemetry,
    runtime: tokio::runtime::Handle,
) -> anyhow::Result<(Context, Ports)> {
    let registry = Registry::open(&state.database())?;
    let context = Context { config: SharedConfig::new(config), state, registry, telemetry, runtime };
    let (engine, buffer) = (Engine::default(), BufferLock::default());
    let ports = Ports {
        intake: Arc::new(StateIntake::new(context.clone())),
        indexer: Arc::new(StateIndexer::new(context.clone(), engine.clone(), buffer.clone())),
        cycles: Arc::new(StateCycles::new(context.clone(), engine, buffer)),
    };
    Ok((context, ports))
}

/// Makes good what a crash may have left: files that were never acknowledged, whose rows come again with their source, and
/// a link that production reads behind the registry. Only safe under the lock and before anything runs.
///
/// # Errors
/// Where the champion's folder is gone, or the link cannot be switched.
pub(crate) fn recover(context: &Context) -> anyhow::Result<()> {
    let state = &context.state;
    let swept = segment::sweep_orphans(state.root(), &context.registry.segment_paths()?)?;
    if !swept.is_empty() {
        warn!(segments = ?swept, "segments that were never acknowledged are removed");
    }
    for folder in [state.root().to_owned(), state.quarantine()] {
        durable::sweep_temporary(&folder)?;
    }
    for side in fs::read_dir(state.scores()).into_iter().flatten() {
        let side = side?.path();
        if side.is_dir() {
            durable::sweep_temporary(&side)?;
        }
    }
    let champion = context.registry.champion()?;
    publish::switch_current(&state.export(), champion.as_ref()).context("the champion cannot be published")
}
