use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};

use super::ApiError;
use crate::{
    ports::RequeueReport,
    quarantine::{self, Lines, Listing},
    service::Handle,
};

/// What lies in quarantine.
pub(super) async fn list(State(handle): State<Arc<Handle>>) -> Result<Json<Listing>, ApiError> {
    Ok(Json(handle.ask(|context, _| quarantine::list(&context.state)).await?))
}

/// The lines of one file of refused rows.
pub(super) async fn show(State(handle): State<Arc<Handle>>, Path(name): Path<String>) -> Result<Json<Lines>, ApiError> {
    Ok(Json(handle.ask(move |context, _| quarantine::show(&context.state, &name)).await?))
}

/// Takes the rows of one file in again.
pub(super) async fn requeue(
    State(handle): State<Arc<Handle>>,
    Path(name): Path<String>,
) -> Result<Json<RequeueReport>, ApiError> {
    Ok(Json(handle.requeue_quarantine(name).await?))
}

/// Gives a file that was refused as a whole back to the inbox.
pub(super) async fn give_back(
    State(handle): State<Arc<Handle>>,
    Path(name): Path<String>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(handle.ask(move |context, _| quarantine::give_back(&context.state, &name)).await?))
}
