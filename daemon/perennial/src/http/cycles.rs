use std::{fmt::Display, str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use perennial_types::CycleId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ApiError;
use crate::{
    api::{self, CycleRow},
    service::Handle,
};

/// The answer to a request for a cycle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    /// The cycle that was begun, or goes on.
    pub(crate) cycle: CycleId,
}

/// The answer to a request to give samples back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Requeued {
    /// How many samples wait again.
    pub(crate) samples: u64,
}

/// The last cycles.
pub(super) async fn list(State(handle): State<Arc<Handle>>) -> Result<Json<Vec<CycleRow>>, ApiError> {
    Ok(Json(handle.ask(|context, _| api::cycles(&context.registry)).await?))
}

/// One cycle.
pub(super) async fn show(State(handle): State<Arc<Handle>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let id: CycleId = parse(&id)?;
    Ok(Json(handle.ask(move |context, _| api::cycle(&context.state, &context.registry, id)).await?))
}

/// Starts a cycle.
pub(super) async fn start(State(handle): State<Arc<Handle>>) -> Result<(StatusCode, Json<Started>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(Started { cycle: handle.start_cycle().await? })))
}

/// Gives a cycle's samples back.
pub(super) async fn requeue(
    State(handle): State<Arc<Handle>>,
    Path(id): Path<String>,
) -> Result<Json<Requeued>, ApiError> {
    let id: CycleId = parse(&id)?;
    Ok(Json(Requeued { samples: handle.requeue(id).await? }))
}

/// Reads a name out of a path.
pub(super) fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error: T::Err| ApiError::bad_request(error.to_string()))
}
