use std::{os::unix::fs::MetadataExt as _, path::Path, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{exit::Exit, session::Session};
use crate::{
    config,
    http::{self, Doors},
    lock::{DaemonFile, StateLock},
    service::{self, Options},
    telemetry::ProgressBar,
    wire::recover,
};

/// Runs the daemon: configuration → lock → bind → ready.
pub(super) fn run(session: Session) -> anyhow::Result<ExitCode> {
    let progress = ProgressBar::on_terminal();
    let log = session.log(&progress)?;
    session.loaded().renamed.iter().for_each(|note| warn!("{note}"));
    let lock = StateLock::take(session.state(), "perennial run")?;
    warn_of_readers(session.state().root())?;
    let doors = Doors::open(&session.config().http)?;
    let parts = session.parts(Some(lock), progress)?;
    recover(&parts.context)?;
    let addresses = doors.addresses()?;
    let address = DaemonFile::address_of(&addresses).context("no command could reach the daemon")?;
    let daemon = DaemonFile { pid: std::process::id(), address, version: env!("CARGO_PKG_VERSION").to_owned() };
    daemon.write(session.state()).context("the state directory cannot be written")?;
    let sources = session.sources().clone();
    let options = Options {
        context: parts.context,
        ports: parts.ports,
        addresses: addresses.iter().map(ToString::to_string).collect(),
        serve: Box::new(move |daemon, drain, tasks| http::serve(doors, daemon, drain, tasks)),
        log,
        reread: Arc::new(move || config::load(&sources)),
        shutdown: CancellationToken::new(),
    };
    let exit = parts.runtime.block_on(service::run(options))?;
    // Threads that did not come to their end in time are not waited for.
    parts.runtime.shutdown_background();
    Ok(match exit {
        service::Exit::Clean => Exit::Done,
        service::Exit::Forced => Exit::Forced,
    }
    .into())
}

/// What is trained on is for few eyes. A folder that was there keeps its mode, but that is told.
fn warn_of_readers(state: &Path) -> anyhow::Result<()> {
    if state.metadata()?.mode() & 0o007 != 0 {
        warn!(state = %state.display(), "every user of this machine gets into the state directory: `chmod o-rwx` it");
    }
    Ok(())
}
