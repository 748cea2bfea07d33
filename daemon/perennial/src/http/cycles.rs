use std::{fmt::Display, str::FromStr, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use perennial_gate::Report;
use perennial_types::CycleId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApiError, adapters::read};
use crate::{
    api::{self, CycleRow},
    cycle::decide_anew,
    service::Handle,
};

/// The answer to a request for a cycle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    /// The cycle that was begun, or goes on.
    pub(crate) cycle: CycleId,
}

/// The body of a request to abort a cycle.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Abort {
    /// Why, for the record.
    pub(crate) reason: String,
}

/// The answer to it: `outcome` in `GET /v1/cycles/{id}` says when it is done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Aborting {
    /// The cycle that ends at its next safe point.
    pub(crate) cycle: CycleId,
}

/// What stands for the reason where nobody gave one.
pub(crate) const BY_HAND: &str = "aborted by hand";

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

/// What the gate says of an ended cycle under the configuration of now.
pub(super) async fn gate(State(handle): State<Arc<Handle>>, Path(id): Path<String>) -> Result<Json<Report>, ApiError> {
    let id: CycleId = parse(&id)?;
    let anew = handle
        .ask(move |context, _| decide_anew(&context.config.current(), &context.state, &context.registry, id))
        .await?;
    Ok(Json(anew))
}

/// Starts a cycle.
pub(super) async fn start(State(handle): State<Arc<Handle>>) -> Result<(StatusCode, Json<Started>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(Started { cycle: handle.start_cycle().await? })))
}

/// Aborts a cycle at its next safe point.
pub(super) async fn abort(
    State(handle): State<Arc<Handle>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Aborting>), ApiError> {
    let cycle: CycleId = parse(&id)?;
    let Abort { reason } = read(&body)?;
    let reason = if reason.is_empty() { BY_HAND.to_owned() } else { reason };
    handle.abort_cycle(cycle, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Aborting { cycle })))
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
