use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
};
use futures::StreamExt as _;
use serde::Deserialize;

use super::{ApiError, App, body};
use crate::{
    answers::IntakeReport,
    ports::{Origin, Readiness},
    request_body::RequestBody,
};

/// The source of rows that are sent without a name.
const SOURCE: &str = "http";

/// What may stand behind the path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// The name of the file that the rows are from.
    source: Option<String>,
    /// The number of the first line, where a file is sent in parts.
    first_line: Option<u64>,
}

/// Takes JSON Lines in, plain or compressed. The answer comes when they are durable.
pub(super) async fn take(
    State(app): State<App>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    rows: Body,
) -> Result<Json<IntakeReport>, ApiError> {
    let Query(Parameters { source, first_line }) =
        parameters.map_err(|error| ApiError::bad_request(error.body_text()))?;
    if app.daemon.readiness() == Readiness::StartingOrStopping {
        return Err(ApiError::unavailable("the daemon is stopping: send it again later"));
    }
    let rows = receive(&app, rows).await?;
    let source = source.filter(|source| !source.is_empty()).unwrap_or_else(|| SOURCE.to_owned());
    let report = app.daemon.take_rows(rows, Origin::new(&source, first_line.unwrap_or(1))).await?;
    if report.took_nothing() {
        return Err(ApiError::nothing_taken(report));
    }
    Ok(Json(report))
}

/// Gathers the body first: a slow or broken sender holds nobody up.
async fn receive(app: &App, sent: Body) -> Result<RequestBody, ApiError> {
    let App { daemon, body_bytes_max } = app;
    let no_room = |error: std::io::Error| ApiError::from(daemon.body_not_kept(error));
    let (mut writer, mut bytes) = (daemon.body(), 0);
    let mut sent = sent.into_data_stream();
    while let Some(chunk) = sent.next().await {
        let chunk = chunk.map_err(body::broken)?;
        bytes += chunk.len();
        if bytes > *body_bytes_max {
            return Err(ApiError::too_large(format!(
                "the body is longer than http.body_bytes_max = {body_bytes_max}: send it in parts, or put a file into the inbox"
            )));
        }
        writer.push(&chunk).await.map_err(no_room)?;
    }
    writer.finish().await.map_err(no_room)
}
