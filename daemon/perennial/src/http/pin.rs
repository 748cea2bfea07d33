use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State};

use super::ApiError;
use crate::{
    answers::{Anchor, Pins, SetPin},
    ports::Daemon,
};

/// The anchor, and those before it.
pub(super) async fn show(State(daemon): State<Arc<dyn Daemon>>) -> Result<Json<Pins>, ApiError> {
    Ok(Json(daemon.pins().await?))
}

pub(super) async fn set(State(daemon): State<Arc<dyn Daemon>>, body: Bytes) -> Result<Json<Anchor>, ApiError> {
    let read = serde_json::from_slice(&body);
    let SetPin { adapter, reason } = read.map_err(|error| {
        ApiError::bad_request(format!("the body is not as expected, such as {{\"adapter\": \"champion\"}}: {error}"))
    })?;
    Ok(Json(daemon.pin(adapter, reason).await?))
}
