use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use serde::Serialize;

use super::{ApiError, Role, tokens::Caller};
use crate::{api::Status, service::Handle, stuck::Stuck};

/// The version of Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The process answers.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// What `/ready` answers.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    /// Samples are taken in, and what is asked is answered.
    ready: bool,
    /// What keeps training from getting on, where something does; for callers with the role to read.
    stuck: Option<Stuck>,
}

/// The daemon takes work. Training that is stuck is told and is no reason to send samples elsewhere: they are stored, and
/// wait. Whoever wants to be woken by it asks [`training`].
pub(super) async fn ready(
    State(handle): State<Arc<Handle>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Ready>, ApiError> {
    if !handle.is_ready() {
        return Err(ApiError::unavailable("starting or stopping"));
    }
    if handle.context().telemetry.board().storage_full() {
        return Err(ApiError::unavailable("the disk is full: nothing is taken in until there is room"));
    }
    if let Some(unpublished) = handle.context().publishing.unpublished() {
        let known = caller.may(Role::Read).then(|| unpublished.to_string());
        return Err(ApiError::unavailable(known.unwrap_or_else(|| "the champion is not published".to_owned())));
    }
    // Whether it is ready must be told whatever the registry does.
    let stuck = handle.context().telemetry.board().stuck().filter(|_| caller.may(Role::Read));
    Ok(Json(Ready { ready: true, stuck }))
}

/// Training gets on: it runs, or waits for nothing but samples.
pub(super) async fn training(State(handle): State<Arc<Handle>>) -> Result<Json<Ready>, ApiError> {
    match handle.stuck().await? {
        None => Ok(Json(Ready { ready: true, stuck: None })),
        Some(stuck) => Err(ApiError::training_is_stuck(stuck.to_string())),
    }
}

/// Everything that is measured.
pub(super) async fn metrics(State(handle): State<Arc<Handle>>) -> Result<Response, ApiError> {
    let text = handle.context().telemetry.metrics().render().map_err(anyhow::Error::from)?;
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

/// How things stand.
pub(super) async fn status(State(handle): State<Arc<Handle>>) -> Result<Json<Status>, ApiError> {
    Ok(Json(handle.status().await?))
}
