use std::{
    io::{Seek, SeekFrom},
    sync::Arc,
};

use anyhow::Context as _;
use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
};
use futures::StreamExt as _;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

use super::ApiError;
use crate::{
    ports::{IntakeReport, Origin},
    service::Handle,
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
    State(handle): State<Arc<Handle>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    body: Body,
) -> Result<Json<IntakeReport>, ApiError> {
    let Query(Parameters { source, first_line }) =
        parameters.map_err(|error| ApiError::bad_request(error.body_text()))?;
    if !handle.is_ready() {
        return Err(ApiError::unavailable("the daemon is stopping: send it again later"));
    }
    let rows = receive(&handle, body).await?;
    let source = source.filter(|source| !source.is_empty()).unwrap_or_else(|| SOURCE.to_owned());
    let origin = Origin { source, first_line: first_line.unwrap_or(1).max(1) };
    Ok(Json(handle.take_rows(rows, origin).await?))
}

/// Writes the body to a file first: a slow or broken sender holds nobody up, and memory does not depend on its length.
async fn receive(handle: &Handle, body: Body) -> Result<std::fs::File, ApiError> {
    let bytes_max = handle.context().config.current().http.body_bytes_max;
    let file = handle.request_file().context("there is no room for the request").map_err(ApiError::from)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut bytes = 0;
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| ApiError::bad_request(format!("the body broke off: {error}")))?;
        bytes += chunk.len();
        if bytes > bytes_max {
            return Err(ApiError::too_large(bytes_max));
        }
        file.write_all(&chunk).await.context("there is no room for the request").map_err(ApiError::from)?;
    }
    file.flush().await.context("there is no room for the request").map_err(ApiError::from)?;
    let mut file = file.into_std().await;
    file.seek(SeekFrom::Start(0)).context("the request cannot be read again").map_err(ApiError::from)?;
    Ok(file)
}
