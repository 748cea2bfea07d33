use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Code;
use crate::{
    answers::IntakeReport,
    ports::{AskError, IntakeError},
    told::told,
};

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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// The status in words.
    pub(crate) title: String,
    /// The status in figures.
    pub(crate) status: u16,
    /// For programs: never changes.
    #[schema(value_type = Code)]
    pub(crate) code: String,
    /// For people: what is wrong and how to mend it.
    pub(crate) detail: String,
    /// What became of the rows of a request that were read, where some were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<IntakeReport>, nullable = false)]
    pub(crate) report: Option<Box<IntakeReport>>,
}

impl Problem {
    /// An example of this code, for the reference.
    pub(super) fn such_as(code: Code) -> Self {
        ApiError::new(code, code.says()).problem
    }
}

impl ApiError {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self::with_status(code.status(), code, detail)
    }

    /// With a status that is not the code's own: the framework's.
    pub(super) fn with_status(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        let (code, detail) = (code.as_str().to_owned(), detail.into());
        Self { status, problem: Problem { title, status: status.as_u16(), code, detail, report: None } }
    }

    fn reporting(mut self, report: IntakeReport) -> Self {
        self.problem.report = Some(Box::new(report));
        self
    }

    /// Every row of a request was refused.
    pub(super) fn nothing_taken(report: IntakeReport) -> Self {
        let first = report.rejections.first().map(|first| format!("; line {}: {}", first.line, first.reason));
        let detail = format!("all {} rows were refused{}", report.rejected, first.unwrap_or_default());
        Self::new(Code::NothingTaken, detail).reporting(report)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(Code::MethodNotAllowed, "this page does not take this method")
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    pub(super) fn timed_out(detail: impl Into<String>) -> Self {
        Self::new(Code::TimedOut, detail)
    }

    pub(super) fn wrong_host() -> Self {
        let detail = "the Host header must name this machine: localhost or a loopback address";
        Self::new(Code::WrongHost, detail)
    }

    pub(super) fn foreign_origin() -> Self {
        let detail = "the request comes from a page of another site (`Origin`, `Sec-Fetch-Site`): what changes anything is \
                      taken from programs and from pages of this address alone";
        Self::new(Code::ForeignOrigin, detail)
    }

    pub(super) fn training_is_stuck(detail: impl Into<String>) -> Self {
        Self::new(Code::TrainingIsStuck, detail)
    }

    pub(super) fn wrong_type(taken: &[&str]) -> Self {
        let detail = format!("the Content-Type must be one of: {}", taken.join(", "));
        Self::new(Code::UnsupportedType, detail)
    }

    pub(super) fn wrong_encoding(taken: &[&str]) -> Self {
        let detail = format!("the Content-Encoding must be left out or be one of: {}", taken.join(", "));
        Self::new(Code::UnsupportedEncoding, detail)
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(Code::BodyTooLarge, detail)
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(Code::Unauthorized, detail)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, detail)
    }

    pub(super) fn internal(detail: impl Into<String>) -> Self {
        Self::new(Code::Internal, detail)
    }

    fn storage_full(detail: impl Into<String>) -> Self {
        Self::new(Code::StorageFull, detail)
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

impl From<IntakeError> for ApiError {
    fn from(error: IntakeError) -> Self {
        let text = error.to_string();
        match error {
            IntakeError::Unreadable { .. } => Self::new(Code::Unreadable, text),
            IntakeError::Incomplete { over_bound, report, .. } => {
                let code = if over_bound { Code::OverBound } else { Code::Damaged };
                Self::new(code, text).reporting(*report)
            }
            IntakeError::StorageFull(_) => Self::storage_full(told(anyhow::Error::from(error))),
            IntakeError::Storage(_) | IntakeError::Busy | IntakeError::Stopped => {
                Self::unavailable(told(anyhow::Error::from(error)))
            }
        }
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        let code = match error {
            AskError::NotFound(_) => Code::NotFound,
            AskError::Refused(_) => Code::Refused,
            AskError::CycleUnderWay => Code::CycleUnderWay,
            AskError::NothingToDo(_) => Code::NothingToDo,
            AskError::StorageFull(_) => Code::StorageFull,
            AskError::Stopping => Code::Unavailable,
            AskError::Failed(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}
