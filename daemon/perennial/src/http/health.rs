use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use super::{ApiError, Role, tokens::Caller};
use crate::{
    answers::{Drift, Ready, Status},
    ports::{Daemon, Readiness},
};

/// The version of Prometheus's text format.
pub(super) const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The process answers.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// The daemon takes work. Training that is stuck is told and is no reason to send samples elsewhere: they are stored, and
/// wait. Whoever wants to be woken by it asks [`training`].
pub(super) async fn ready(
    State(daemon): State<Arc<dyn Daemon>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Ready>, ApiError> {
    let may_read = caller.may(Role::Read);
    match daemon.readiness() {
        Readiness::Ready(stuck) => Ok(Json(Ready { ready: true, stuck: stuck.filter(|_| may_read) })),
        Readiness::StartingOrStopping => Err(ApiError::unavailable("starting or stopping")),
        Readiness::StorageFull => {
            Err(ApiError::unavailable("the disk is full: nothing is taken in until there is room"))
        }
        Readiness::Unpublished(why) if may_read => Err(ApiError::unavailable(why)),
        Readiness::Unpublished(_) => Err(ApiError::unavailable("the champion is not published")),
    }
}

/// Training gets on: it runs, or waits for nothing but samples.
pub(super) async fn training(State(daemon): State<Arc<dyn Daemon>>) -> Result<Json<Ready>, ApiError> {
    match daemon.stuck().await? {
        None => Ok(Json(Ready { ready: true, stuck: None })),
        Some(stuck) => Err(ApiError::training_is_stuck(stuck.to_string())),
    }
}

/// Everything that is measured.
pub(super) async fn metrics(State(daemon): State<Arc<dyn Daemon>>) -> Result<Response, ApiError> {
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], daemon.metrics()?).into_response())
}

/// How things stand.
pub(super) async fn status(State(daemon): State<Arc<dyn Daemon>>) -> Result<Json<Status>, ApiError> {
    Ok(Json(daemon.status().await?))
}

/// What moved.
pub(super) async fn drift(State(daemon): State<Arc<dyn Daemon>>) -> Result<Json<Drift>, ApiError> {
    Ok(Json(daemon.drift().await?))
}
