use std::{net::TcpListener, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use listenfd::ListenFd;
use tokio_util::sync::CancellationToken;

use super::session::Session;
use crate::{
    config,
    lock::{DaemonFile, StateLock},
    service::{self, Exit, Options},
    telemetry::ProgressBar,
    wire::recover,
};

/// The exit code of a daemon that had to leave before everything came to a safe point.
const FORCED: u8 = 75;

/// Runs the daemon: configuration → lock → bind → ready.
pub(super) fn run(session: Session) -> anyhow::Result<ExitCode> {
    let progress = ProgressBar::on_terminal();
    let log = session.log(&progress)?;
    let lock = StateLock::take(session.state(), "perennial run")?;
    let listener = listen(&session)?;
    let parts = session.parts(Some(lock), progress)?;
    recover(&parts.context)?;
    let address = listener.local_addr()?;
    let daemon = DaemonFile { pid: std::process::id(), address, version: env!("CARGO_PKG_VERSION").to_owned() };
    daemon.write(session.state()).context("the state directory cannot be written")?;
    let sources = session.sources().clone();
    let options = Options {
        context: parts.context,
        ports: parts.ports,
        listener,
        log,
        reread: Arc::new(move || config::load(&sources)),
        shutdown: CancellationToken::new(),
    };
    let exit = parts.runtime.block_on(service::run(options))?;
    // Threads that did not come to their end in time are not waited for.
    parts.runtime.shutdown_background();
    Ok(match exit {
        Exit::Clean => ExitCode::SUCCESS,
        Exit::Forced => ExitCode::from(FORCED),
    })
}

/// The socket that systemd passed, else one of our own.
fn listen(session: &Session) -> anyhow::Result<TcpListener> {
    if let Some(passed) =
        ListenFd::from_env().take_tcp_listener(0).context("the socket that was passed is no TCP socket")?
    {
        return Ok(passed);
    }
    let address = session.config().http.listen;
    TcpListener::bind(address).with_context(|| format!("`http.listen`: {address} cannot be bound"))
}
