use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};

use super::ApiError;
use crate::{
    answers::{Lines, Listing, RequeueReport},
    ports::Daemon,
};

/// What lies in quarantine.
pub(super) async fn list(State(daemon): State<Arc<dyn Daemon>>) -> Result<Json<Listing>, ApiError> {
    Ok(Json(daemon.quarantine().await?))
}

/// The lines of one file of refused rows.
pub(super) async fn show(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(name): Path<String>,
) -> Result<Json<Lines>, ApiError> {
    Ok(Json(daemon.quarantined_rows(name).await?))
}

/// Takes the rows of one file in again.
pub(super) async fn requeue(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(name): Path<String>,
) -> Result<Json<RequeueReport>, ApiError> {
    Ok(Json(daemon.requeue_rows(name).await?))
}

/// Gives a file that was refused as a whole back to the inbox.
pub(super) async fn give_back(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(name): Path<String>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(daemon.give_file_back(name).await?))
}
