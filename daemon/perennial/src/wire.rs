//! Puts the parts together. Only here is it known which part stands behind which port.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use perennial_data::segment;
use perennial_durable as durable;
use perennial_registry::Registry;
use tracing::{error, warn};

use crate::{
    config::{Config, SharedConfig},
    cycle::StateCycles,
    drift::StateDrift,
    engine::Engine,
    indexer::StateIndexer,
    intake::StateIntake,
    ports::{Context, Ports},
    publishing::Publishing,
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
    let publishing = Publishing::new(&config, &state, registry.clone(), telemetry.clone(), runtime.clone());
    let context = Context { config: SharedConfig::new(config), state, registry, publishing, telemetry, runtime };
    let (engine, buffer) = (Engine::default(), BufferLock::default());
    let ports = Ports {
        intake: Arc::new(StateIntake::new(context.clone())),
        indexer: Arc::new(StateIndexer::new(context.clone(), engine.clone(), buffer.clone())),
        cycles: Arc::new(StateCycles::new(context.clone(), engine.clone(), buffer.clone())),
        drift: Arc::new(StateDrift::new(context.clone(), engine, buffer)),
    };
    Ok((context, ports))
}

/// How long a start looks at the structures of the registry's database. What is not looked at then is by nobody, which
/// SQLite takes well: it finds damage where it meets it.
const CHECK_MAX: Duration = Duration::from_secs(1);

/// Makes good what a crash may have left: names that are not durable yet, files that were never acknowledged, whose rows
/// come again with their source, and a link that production reads behind the registry. Only safe under the lock and before
/// anything runs.
///
/// # Errors
/// Where the registry is damaged, or the system refuses. That the champion cannot be published is none: it is told, and
/// tried again.
pub(crate) fn recover(context: &Context) -> anyhow::Result<()> {
    let state = &context.state;
    context.registry.check_for(CHECK_MAX).with_context(|| {
        format!(
            "{} is damaged: restore it from a backup, or begin anew in another state directory",
            state.database().display()
        )
    })?;
    durable::sync_folders(state.root())?;
    if !state.inbox().starts_with(state.root()) {
        durable::sync_folders(state.inbox())?;
    }
    let swept = segment::sweep_orphans(state.root(), &context.registry.segment_paths()?)?;
    if !swept.is_empty() {
        warn!(segments = ?swept, "segments that were never acknowledged are removed");
    }
    for folder in [state.root().to_owned(), state.taken(), state.quarantine(), state.adapters(), state.export()] {
        durable::sweep_temporary(&folder)?;
    }
    for folder in [state.scores(), state.base_answers(), state.cycles(), state.drift()] {
        durable::sweep_tree(&folder, durable::is_temporary)?;
    }
    if let Err(problem) = context.publishing.follow_local() {
        error!(error = %problem, "production cannot read the champion; tried again");
    }
    Ok(())
}
