use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use perennial_registry::RegistryError;
use serde::{Deserialize, Serialize};

use crate::{api::NotFound, ports::IntakeError, service::Refusal};

/// An answer that is an error: a status, a code for programs and a message for people.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

/// The JSON of an error.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    /// For programs: never changes.
    pub(crate) code: String,
    /// For people: what is wrong and how to mend it.
    pub(crate) message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { code: code.to_owned(), message: message.into() } }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this page does not take this method")
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn wrong_host() -> Self {
        let message = "the Host header must name this machine: localhost or a loopback address";
        Self::new(StatusCode::FORBIDDEN, "wrong_host", message)
    }

    pub(super) fn too_large(bytes_max: usize) -> Self {
        let message = format!(
            "the body is longer than http.body_bytes_max = {bytes_max}: send it in parts, or put a file into the inbox"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(super) fn training_is_stuck(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "training_is_stuck", message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.body }))).into_response()
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        let message = format!("{error:#}");
        if error.is::<NotFound>() {
            return Self::not_found(message);
        }
        match error.downcast_ref::<RegistryError>() {
            Some(RegistryError::UnknownAdapter(_) | RegistryError::UnknownCycle(_)) => Self::not_found(message),
            Some(RegistryError::Sqlite(_) | RegistryError::Open { .. }) | None => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
            }
            // All else that the registry says is about what was asked for, not about the registry.
            Some(_) => Self::new(StatusCode::CONFLICT, "refused", message),
        }
    }
}

impl From<IntakeError> for ApiError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Unreadable { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unreadable", error.to_string())
            }
            IntakeError::Incomplete { over_bound: true, .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "over_bound", error.to_string())
            }
            IntakeError::Incomplete { over_bound: false, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "damaged", error.to_string())
            }
            IntakeError::StorageFull(_) => {
                let message = format!("{:#}", anyhow::Error::from(error));
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", message)
            }
            IntakeError::Storage(_) | IntakeError::Busy | IntakeError::Stopped => {
                Self::unavailable(format!("{:#}", anyhow::Error::from(error)))
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Running => Self::new(StatusCode::CONFLICT, "cycle_under_way", refusal.to_string()),
            Refusal::Failed(_) => Self::new(StatusCode::CONFLICT, "refused", refusal.to_string()),
            Refusal::Stopping => Self::unavailable(refusal.to_string()),
        }
    }
}
