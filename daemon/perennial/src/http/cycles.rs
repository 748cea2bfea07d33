use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use perennial_gate::Report;

use super::{
    ApiError,
    asked::{parse, read},
};
use crate::{
    answers::{Abort, Aborting, Answered, BY_HAND, CycleRow, CycleShown, HoldWord, NO_REASON, Requeued, Started},
    ports::Daemon,
};

/// The last cycles.
pub(super) async fn list(State(daemon): State<Arc<dyn Daemon>>) -> Result<Json<Vec<CycleRow>>, ApiError> {
    Ok(Json(daemon.cycles().await?))
}

/// One cycle.
pub(super) async fn show(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(id): Path<String>,
) -> Result<Json<CycleShown>, ApiError> {
    Ok(Json(daemon.cycle(parse(&id)?).await?))
}

/// What the gate says of an ended cycle under the configuration of now.
pub(super) async fn gate(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(id): Path<String>,
) -> Result<Json<Report>, ApiError> {
    Ok(Json(daemon.decide_anew(parse(&id)?).await?))
}

/// Starts a cycle.
pub(super) async fn start(State(daemon): State<Arc<dyn Daemon>>) -> Result<(StatusCode, Json<Started>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(Started { cycle: daemon.start_cycle().await? })))
}

/// Aborts a cycle at its next safe point.
pub(super) async fn abort(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Aborting>), ApiError> {
    let cycle = parse(&id)?;
    let Abort { reason } = read(&body)?;
    let reason = if reason.is_empty() { BY_HAND.to_owned() } else { reason };
    daemon.abort_cycle(cycle, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Aborting { cycle })))
}

/// Puts the candidate that waits in service.
pub(super) async fn approve(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Answered>), ApiError> {
    answer(&*daemon, &id, true, &body).await
}

/// Does not want the candidate that waits.
pub(super) async fn decline(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Answered>), ApiError> {
    answer(&*daemon, &id, false, &body).await
}

async fn answer(
    daemon: &dyn Daemon,
    id: &str,
    approves: bool,
    body: &Bytes,
) -> Result<(StatusCode, Json<Answered>), ApiError> {
    let cycle = parse(id)?;
    let HoldWord { reason } = read(body)?;
    let reason = if reason.is_empty() { NO_REASON.to_owned() } else { reason };
    daemon.answer_hold(cycle, approves, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Answered { cycle })))
}

/// Gives a cycle's samples back.
pub(super) async fn requeue(
    State(daemon): State<Arc<dyn Daemon>>,
    Path(id): Path<String>,
) -> Result<Json<Requeued>, ApiError> {
    Ok(Json(Requeued { samples: daemon.requeue(parse(&id)?).await? }))
}
