use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use perennial_types::AdapterId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApiError, cycles::parse};
use crate::{
    api::{self, AdapterRow},
    service::Handle,
};

/// The body of a promotion by hand.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Promote {
    /// Why, for the record.
    pub(crate) reason: String,
}

/// The body of a roll-back, and its answer.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RollBack {
    /// The adapter to go back to; the one before the champion where it is `None`. In the answer: the champion now.
    pub(crate) to: Option<AdapterId>,
}

/// All adapters.
pub(super) async fn list(State(handle): State<Arc<Handle>>) -> Result<Json<Vec<AdapterRow>>, ApiError> {
    Ok(Json(handle.ask(|context, _| api::adapters(&context.registry)).await?))
}

/// One adapter.
pub(super) async fn show(State(handle): State<Arc<Handle>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let id: AdapterId = parse(&id)?;
    Ok(Json(handle.ask(move |context, _| api::adapter(&context.state, &context.registry, &id)).await?))
}

/// Puts an adapter in service by hand.
pub(super) async fn promote(
    State(handle): State<Arc<Handle>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<RollBack>, ApiError> {
    let id: AdapterId = parse(&id)?;
    let Promote { reason } = read(&body)?;
    handle.promote(id.clone(), reason).await?;
    Ok(Json(RollBack { to: Some(id) }))
}

/// Puts an earlier champion back in service.
pub(super) async fn roll_back(State(handle): State<Arc<Handle>>, body: Bytes) -> Result<Json<RollBack>, ApiError> {
    let RollBack { to } = read(&body)?;
    Ok(Json(RollBack { to: handle.roll_back(to).await? }))
}

/// A body of JSON, which may be empty.
pub(super) fn read<T: Default + for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request(format!("the body is not as expected: {error}")))
}
