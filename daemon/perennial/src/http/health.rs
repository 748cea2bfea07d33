use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use super::ApiError;
use crate::{api::Status, service::Handle};

/// The version of Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The process answers.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// The daemon takes work.
pub(super) async fn ready(State(handle): State<Arc<Handle>>) -> Result<&'static str, ApiError> {
    if !handle.is_ready() {
        return Err(ApiError::unavailable("starting or stopping"));
    }
    if handle.context().telemetry.board().storage_full() {
        return Err(ApiError::unavailable("the disk is full: nothing is taken in until there is room"));
    }
    Ok("ready\n")
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
