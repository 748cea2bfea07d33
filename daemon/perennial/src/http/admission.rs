use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{ApiError, Role, Tokens, body, content::Content, tokens::Caller};

/// The longest body of a request in JSON, in bytes: a name and a reason.
const JSON_BYTES_MAX: usize = 64 << 10;

/// What a request must bring for one route.
#[derive(Clone)]
pub(super) struct Admission {
    pub(super) tokens: Option<Arc<Tokens>>,
    pub(super) role: Option<Role>,
    pub(super) content: Content,
}

/// Lets a request through to its route, with what its caller may do, and with its body where that is short.
pub(super) async fn admit(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    match admission.check(&request) {
        Ok(caller) => drop(request.extensions_mut().insert(caller)),
        Err(refusal) => return refusal.into_response(),
    }
    if admission.content == Content::Json {
        request = match with_whole_body(request).await {
            Ok(request) => request,
            Err(refusal) => return refusal.into_response(),
        };
    }
    next.run(request).await
}

impl Admission {
    fn check(&self, request: &Request) -> Result<Caller, ApiError> {
        let caller = match &self.tokens {
            None => Caller::trusted(),
            Some(tokens) => tokens.caller(request.headers())?,
        };
        if let Some(role) = self.role {
            caller.must_be(role)?;
        }
        self.content.check(request.headers())?;
        Ok(caller)
    }
}

/// Waits for all of a short body, so that what a route does never waits for its sender.
async fn with_whole_body(request: Request) -> Result<Request, ApiError> {
    let (parts, sent) = request.into_parts();
    Ok(Request::from_parts(parts, Body::from(body::collect(sent, JSON_BYTES_MAX).await?)))
}
