//! The HTTP interface: health, metrics, samples in, and what the command line asks.

mod adapters;
mod admission;
mod asked;
mod body;
mod code;
mod content;
mod cycles;
mod error;
mod guard;
mod health;
mod listener;
mod openapi;
mod operation;
mod operations;
mod patient;
mod pin;
mod problems;
mod quarantine;
mod route;
mod routes;
mod samples;
mod serve;
mod tokens;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use axum::{
    Router,
    extract::FromRef,
    middleware::{from_fn, from_fn_with_state},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::trace::TraceLayer;

pub(crate) use self::{code::Code, error::Problem, listener::Listener, routes::document, tokens::Tokens};
use self::{error::ApiError, guard::Host, serve::Connections, tokens::Role};
use crate::{config, ports::Daemon};

/// Where requests come in, and who is let in.
pub(crate) struct Doors {
    /// The sockets.
    pub(crate) listeners: Vec<Listener>,
    /// What callers over TCP must bring; `None` where nobody needs anything.
    pub(crate) tokens: Option<Arc<Tokens>>,
    /// What connections and bodies may take.
    pub(crate) bounds: config::Http,
}

/// What handlers share.
#[derive(Clone)]
struct App {
    daemon: Arc<dyn Daemon>,
    body_bytes_max: usize,
}

impl FromRef<App> for Arc<dyn Daemon> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.daemon)
    }
}

impl Doors {
    /// Where they are reached, in their order.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub(crate) fn addresses(&self) -> std::io::Result<Vec<config::Listen>> {
        let addresses: Result<Vec<_>, _> = self.listeners.iter().map(Listener::address).collect();
        Ok(addresses?.into_iter().flatten().collect())
    }

    /// The sockets that systemd passed, else the configured one.
    ///
    /// # Errors
    /// Where a socket or the tokens cannot be had, or other machines could do everything without a token.
    pub(crate) fn open(http: &config::Http) -> anyhow::Result<Self> {
        let tokens = http.tokens_file.as_deref().map(Tokens::read).transpose().context("`http.tokens_file`")?;
        let passed = Listener::passed()?;
        let listeners = match passed.is_empty() {
            false => passed,
            true => vec![Listener::bind(&http.listen, http.socket_mode)?],
        };
        for listener in &listeners {
            match listener.address()? {
                Some(address) if address.is_remote() && tokens.is_none() => bail!(
                    "{address} can be reached from other machines, and there are no tokens: set `http.tokens_file`, or \
                     listen on a loopback address or a Unix socket"
                ),
                _ => {}
            }
        }
        Ok(Self { listeners, tokens: tokens.map(Arc::new), bounds: http.clone() })
    }
}

/// Answers at all doors until `drain` is cancelled, and then what was asked before, in tasks of `tasks`.
///
/// # Errors
/// Where a socket cannot be listened to.
pub(crate) fn serve(
    doors: Doors,
    daemon: Arc<dyn Daemon>,
    drain: CancellationToken,
    tasks: &TaskTracker,
) -> std::io::Result<()> {
    let connections = Connections::new(&doors.bounds, Arc::clone(&daemon), drain, tasks.clone());
    let app = App { daemon, body_bytes_max: doors.bounds.body_bytes_max };
    for listener in doors.listeners {
        // Who may open a Unix socket is for its mode to say.
        let tokens = match listener {
            Listener::Tcp(_) => doors.tokens.clone(),
            Listener::Unix(..) => None,
        };
        let host = match (&listener, &tokens) {
            (Listener::Tcp(_), None) => Host::Loopback,
            _ => Host::Any,
        };
        connections.answer(listener, router(app.clone(), host, tokens))?;
    }
    Ok(())
}

fn router(app: App, host: Host, tokens: Option<Arc<Tokens>>) -> Router {
    routes::router(tokens)
        .layer(from_fn_with_state(host, guard::guard))
        .layer(from_fn(problems::only_problems))
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}
