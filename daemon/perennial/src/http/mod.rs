//! The HTTP interface, on a loopback address: health, metrics, samples in, and what the command line asks.

mod adapters;
mod cycles;
mod error;
mod guard;
mod health;
mod quarantine;
mod samples;

use std::sync::Arc;

use axum::{
    Router,
    middleware::from_fn,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::trace::TraceLayer;
use tracing::error;

use self::error::ApiError;
pub(crate) use self::{
    adapters::{Promote, RollBack},
    cycles::{Abort, Aborting, BY_HAND, Requeued, Started},
    error::ErrorBody,
};
use crate::service::Handle;

/// Answers until `drain` is cancelled, and then what was asked before.
pub(crate) async fn serve(listener: TcpListener, handle: Handle, drain: CancellationToken) {
    let served = axum::serve(listener, router(Arc::new(handle))).with_graceful_shutdown(drain.cancelled_owned());
    if let Err(error) = served.await {
        error!(%error, "the HTTP interface ended");
    }
}

fn router(handle: Arc<Handle>) -> Router {
    Router::new()
        .route("/live", get(health::live))
        .route("/ready", get(health::ready))
        .route("/ready/training", get(health::training))
        .route("/metrics", get(health::metrics))
        .route("/v1/status", get(health::status))
        .route("/v1/samples", post(samples::take))
        .route("/v1/quarantine", get(quarantine::list))
        .route("/v1/quarantine/{name}", get(quarantine::show))
        .route("/v1/quarantine/{name}/requeue", post(quarantine::requeue))
        .route("/v1/quarantine/files/{name}/requeue", post(quarantine::give_back))
        .route("/v1/adapters", get(adapters::list))
        .route("/v1/adapters/{id}", get(adapters::show))
        .route("/v1/adapters/{id}/promote", post(adapters::promote))
        .route("/v1/rollback", post(adapters::roll_back))
        .route("/v1/cycles", get(cycles::list).post(cycles::start))
        .route("/v1/cycles/{id}", get(cycles::show))
        .route("/v1/cycles/{id}/requeue", post(cycles::requeue))
        .route("/v1/cycles/{id}/abort", post(cycles::abort))
        .fallback(|| async { ApiError::not_found("there is no such page") })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(from_fn(guard::local_host_only))
        .layer(TraceLayer::new_for_http())
        .with_state(handle)
}
