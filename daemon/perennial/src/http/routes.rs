//! The one table of what can be asked: each route with the role that it takes, the body that it reads and what the reference says
//! of it.

use std::sync::Arc;

use axum::{Json, Router, middleware::from_fn_with_state};
use utoipa::openapi::OpenApi;

use super::{
    ApiError, App, Role, Tokens, adapters,
    admission::admit,
    content::Content,
    cycles, health, openapi, operations as docs, pin, quarantine,
    route::{Route, get, post},
    samples,
};

pub(super) fn routes() -> Vec<Route> {
    let (read, ingest, operate) = (Some(Role::Read), Some(Role::Ingest), Some(Role::Operate));
    vec![
        get("/live", None, health::live, docs::live()),
        get("/ready", None, health::ready, docs::ready()),
        get("/ready/training", read, health::training, docs::training()),
        get("/metrics", read, health::metrics, docs::metrics()),
        get("/v1/openapi.json", read, reference, docs::reference()),
        get("/v1/status", read, health::status, docs::status()),
        get("/v1/drift", read, health::drift, docs::drift()),
        post("/v1/samples", ingest, Content::Rows, samples::take, docs::take_samples()),
        get("/v1/quarantine", read, quarantine::list, docs::quarantine()),
        get("/v1/quarantine/{name}", read, quarantine::show, docs::quarantined_rows()),
        post("/v1/quarantine/{name}/requeue", operate, Content::Json, quarantine::requeue, docs::requeue_rows()),
        post(
            "/v1/quarantine/files/{name}/requeue",
            operate,
            Content::Json,
            quarantine::give_back,
            docs::give_file_back(),
        ),
        get("/v1/adapters", read, adapters::list, docs::adapters()),
        get("/v1/adapters/{id}", read, adapters::show, docs::adapter()),
        post("/v1/adapters/{id}/promote", operate, Content::Json, adapters::promote, docs::promote()),
        post("/v1/rollback", operate, Content::Json, adapters::roll_back, docs::roll_back()),
        get("/v1/pin", read, pin::show, docs::pins()),
        post("/v1/pin", operate, Content::Json, pin::set, docs::pin()),
        get("/v1/cycles", read, cycles::list, docs::cycles()),
        post("/v1/cycles", operate, Content::Json, cycles::start, docs::start_cycle()),
        get("/v1/cycles/{id}", read, cycles::show, docs::cycle()),
        get("/v1/cycles/{id}/gate", read, cycles::gate, docs::gate()),
        post("/v1/cycles/{id}/abort", operate, Content::Json, cycles::abort, docs::abort()),
        post("/v1/cycles/{id}/approve", operate, Content::Json, cycles::approve, docs::approve()),
        post("/v1/cycles/{id}/decline", operate, Content::Json, cycles::decline, docs::decline()),
        post("/v1/cycles/{id}/requeue", operate, Content::Json, cycles::requeue, docs::requeue()),
    ]
}

/// The reference of them all.
pub(crate) fn document() -> OpenApi {
    openapi::document(routes())
}

/// `GET /v1/openapi.json`
async fn reference() -> Json<OpenApi> {
    Json(document())
}

/// The routes, each behind its admission. `tokens` is `None` where whoever reaches the listener may do everything.
pub(super) fn router(tokens: Option<Arc<Tokens>>) -> Router<App> {
    let add = |router: Router<App>, route: Route| {
        let admission = route.admission(tokens.clone());
        router.route(route.path, route.handler.route_layer(from_fn_with_state(admission, admit)))
    };
    routes()
        .into_iter()
        .fold(Router::new(), add)
        .fallback(|| async { ApiError::not_found("there is no such page") })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::guard::changes_something;

    #[test]
    fn every_route_that_changes_something_takes_a_role_to_do_so_and_a_type_that_no_form_can_send() {
        for route in routes() {
            let Route { method, path, role, content, .. } = route;
            if !changes_something(&method) {
                assert!(matches!(role, None | Some(Role::Read)), "{method} {path}");
                continue;
            }
            assert!(matches!(role, Some(Role::Ingest | Role::Operate)), "{method} {path}");
            assert!(!content.types().is_empty(), "{method} {path}");
            let safe = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
            assert!(content.types().iter().all(|taken| !safe.contains(taken)), "{method} {path}");
        }
    }

    #[test]
    fn only_what_tells_nothing_is_open_to_all() {
        let open: Vec<_> = routes().into_iter().filter(|route| route.role.is_none()).map(|route| route.path).collect();
        assert_eq!(open, ["/live", "/ready"]);
    }
}
