use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use perennial_registry::RegistryError;
use serde::{Deserialize, Serialize};

use crate::{api::NotFound, intake::is_full, ports::IntakeError, service::Refusal, told::told};

/// The type of every answer that is an error: problem details, RFC 9457.
pub(super) const PROBLEM_TYPE: &str = "application/problem+json";

/// When to try again what failed for a while, in seconds.
const RETRY_SECONDS: &str = "10";

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    problem: Problem,
}

/// The JSON of an error. Its `type` is left out, which means that the status says all that there is to say of it in
/// general; `code` says it more closely.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// The status in words.
    pub(crate) title: String,
    /// The status in figures.
    pub(crate) status: u16,
    /// For programs: never changes.
    pub(crate) code: String,
    /// For people: what is wrong and how to mend it.
    pub(crate) detail: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        let (code, detail) = (code.to_owned(), detail.into());
        Self { status, problem: Problem { title, status: status.as_u16(), code, detail } }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this page does not take this method")
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    pub(super) fn timed_out(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timed_out", detail)
    }

    pub(super) fn wrong_host() -> Self {
        let detail = "the Host header must name this machine: localhost or a loopback address";
        Self::new(StatusCode::FORBIDDEN, "wrong_host", detail)
    }

    pub(super) fn foreign_origin() -> Self {
        let detail = "the request comes from a page of another site (`Origin`, `Sec-Fetch-Site`): what changes anything is \
                      taken from programs and from pages of this address alone";
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", detail)
    }

    pub(super) fn training_is_stuck(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "training_is_stuck", detail)
    }

    pub(super) fn wrong_type(taken: &[&str]) -> Self {
        let detail = format!("the Content-Type must be one of: {}", taken.join(", "));
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type", detail)
    }

    pub(super) fn wrong_encoding(taken: &[&str]) -> Self {
        let detail = format!("the Content-Encoding must be left out or be one of: {}", taken.join(", "));
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail)
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    pub(super) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    fn storage_full(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", detail)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"perennial\""));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
            }
            _ => {}
        }
        response
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        let detail = told(&error);
        if is_full(&error) {
            return Self::storage_full(detail);
        }
        if error.is::<NotFound>() {
            return Self::not_found(detail);
        }
        match error.downcast_ref::<RegistryError>() {
            Some(RegistryError::UnknownAdapter(_) | RegistryError::UnknownCycle(_)) => Self::not_found(detail),
            Some(RegistryError::Sqlite(_) | RegistryError::Open { .. } | RegistryError::Create { .. }) | None => {
                Self::internal(detail)
            }
            // All else that the registry says is about what was asked for, not about the registry.
            Some(_) => Self::new(StatusCode::CONFLICT, "refused", detail),
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
            IntakeError::StorageFull(_) => Self::storage_full(told(anyhow::Error::from(error))),
            IntakeError::Storage(_) | IntakeError::Busy | IntakeError::Stopped => {
                Self::unavailable(told(anyhow::Error::from(error)))
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
