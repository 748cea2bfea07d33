use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use perennial_types::AdapterId;

use super::{
    ApiError,
    asked::{parse, read},
};
use crate::{
    answers::{AdapterRow, AdapterShown, Promote, RollBack},
    ports::Daemon,
};

pub(super) async fn list(State(daemon): State<Arc<dyn Daemon>>) -> Result<Json<Vec<AdapterRow>>, ApiError> {
    Ok(Json(daemon.adapters().await?))
}

pub(super) async fn show(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(id): Path<String>,
) -> Result<Json<AdapterShown>, ApiError> {
    Ok(Json(daemon.adapter(parse(&id)?).await?))
}

/// Puts an adapter in service by hand.
pub(super) async fn promote(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<RollBack>, ApiError> {
    let id: AdapterId = parse(&id)?;
    let Promote { reason } = read(&body)?;
    daemon.promote(id.clone(), reason).await?;
    Ok(Json(RollBack { to: Some(id) }))
}

/// Puts an earlier champion back in service.
pub(super) async fn roll_back(State(daemon): State<Arc<dyn Daemon>>, body: Bytes) -> Result<Json<RollBack>, ApiError> {
    let RollBack { to } = read(&body)?;
    Ok(Json(RollBack { to: daemon.roll_back(to).await? }))
}
