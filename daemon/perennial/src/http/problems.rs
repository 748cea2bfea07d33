use std::panic::AssertUnwindSafe;

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt as _;
use perennial_types::panic_text;
use tracing::error;

use super::{ApiError, Code, body, error::PROBLEM_TYPE};

/// How much is kept of what the framework says of an error, in bytes.
const DETAIL_BYTES_MAX: usize = 1 << 10;

/// Makes every error problem details, whoever answers with it: a route, the framework's own refusals, or a panic.
pub(super) async fn only_problems(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => as_problem(response).await,
        Err(panic) => {
            let panic = panic_text(&*panic).unwrap_or("without a message");
            error!(panic, "a request panicked");
            ApiError::internal("a defect of this program: its log says more").into_response()
        }
    }
}

async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let content_type = response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    if !is_error || content_type == Some(PROBLEM_TYPE.as_bytes()) {
        return response;
    }
    let (mut parts, said) = response.into_parts();
    let said = body::collect(said, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let (head, body) =
        ApiError::with_status(status, code(status), String::from_utf8_lossy(&said)).into_response().into_parts();
    // What else the framework says stays: `Allow`.
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(name);
    }
    parts.headers.extend(head.headers);
    Response::from_parts(parts, body)
}

fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedType,
        status if status.is_server_error() => Code::Internal,
        _ => Code::BadRequest,
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Path, middleware::from_fn, routing::get};
    use hyper_util::service::TowerToHyperService;
    use serde_json::Value;

    use super::*;

    async fn ask(path: &str) -> (u16, Option<String>, Value) {
        let router: Router = Router::new()
            .route(
                "/panic",
                get(|| async {
                    if true {
                        panic!("secret")
                    }
                }),
            )
            .route("/number/{n}", get(|Path(_): Path<u8>| async {}))
            .route("/empty", get(|| async { StatusCode::BAD_GATEWAY }))
            .layer(from_fn(only_problems));
        let request = axum::http::Request::get(path).body(Body::empty()).unwrap();
        let answer = hyper::service::Service::call(&TowerToHyperService::new(router), request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
        let body = super::body::collect(body, 4096).await.unwrap();
        (parts.status.as_u16(), kind, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn whatever_goes_wrong_is_told_as_a_problem() {
        for (path, status, code) in [
            ("/panic", 500, "internal"),
            ("/number/many", 400, "bad_request"),
            ("/empty", 502, "internal"),
            ("/nowhere", 404, "not_found"),
        ] {
            let (found, kind, problem) = ask(path).await;
            assert_eq!((found, kind.as_deref()), (status, Some(PROBLEM_TYPE)), "{path}");
            assert_eq!((problem["status"].as_u64(), problem["code"].as_str()), (Some(status.into()), Some(code)));
            assert!(!problem["detail"].as_str().unwrap().contains("secret"), "what a panic says stays in the log");
        }
    }
}
