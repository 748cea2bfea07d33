//! The reference of the HTTP interface, as OpenAPI: made from the table of routes, so that it can leave none out.

use std::collections::BTreeMap;

use axum::http::Method;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, License, OpenApi, OpenApiBuilder, PathItem,
        PathsBuilder, Ref, Required, ResponseBuilder, SecurityRequirement, Server,
        extensions::ExtensionsBuilder,
        path::{Operation as Written, OperationBuilder},
        request_body::RequestBodyBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{Code, Problem, content::Content as Taken, error::PROBLEM_TYPE, guard::changes_something, route::Route};

/// How a token is shown, by the name that the routes refer to.
const TOKEN: &str = "token";

const ABOUT: &str = "What `perennial run` answers at `http.listen`.

Where `http.tokens_file` is set, callers over TCP show a token, `Authorization: Bearer TOKEN`; its role (`read`, `ingest`, or \
`operate`, which may do all that the others may) must be the route's. Whoever may open the Unix socket, or reaches a loopback \
address without tokens, needs none.

Every error is problem details (RFC 9457) with a `code` that never changes. Requests of pages of other sites are refused.";

/// The whole reference of these routes.
pub(super) fn document(routes: Vec<Route>) -> OpenApi {
    let (mut paths, mut schemas) = (PathsBuilder::new(), BTreeMap::new());
    let mut problem = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut problem);
    schemas.extend(problem);
    for route in routes {
        let method = if route.method == Method::POST { HttpMethod::Post } else { HttpMethod::Get };
        let operation = written(&route);
        schemas.extend(route.operation.schemas);
        paths = paths.path(route.path, PathItem::new(method, operation));
    }
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of `http.tokens_file`."));
    let components =
        ComponentsBuilder::new().schemas_from_iter(schemas).security_scheme(TOKEN, SecurityScheme::Http(token.build()));
    let info = InfoBuilder::new()
        .title("Perennial")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(License::new("Apache-2.0")));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("http://127.0.0.1:7411")]))
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

fn written(route: &Route) -> Written {
    let Route { method, path, role, content, operation, .. } = route;
    let name = format!("{method}{path}").to_lowercase();
    let name: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let answer = ResponseBuilder::new().description("Done.").content(operation.kind, operation.answer.clone());
    let mut written = OperationBuilder::new()
        .operation_id(Some(name.join("_")))
        .summary(Some(operation.summary))
        .parameters(Some(operation.parameters.clone()))
        .response(operation.status.as_str(), answer);
    if !operation.more.is_empty() {
        written = written.description(Some(operation.more));
    }
    if let Some(role) = role {
        written = written
            .security(SecurityRequirement::new::<_, [&str; 0], _>(TOKEN, []))
            .extensions(Some(ExtensionsBuilder::new().add("x-role", role.as_str()).build()));
    }
    if let Some(body) = &operation.body {
        let required = if *content == Taken::Rows { Required::True } else { Required::False };
        let body = content
            .types()
            .iter()
            .fold(RequestBodyBuilder::new(), |body_of, kind| body_of.content(*kind, body.clone()));
        written = written.request_body(Some(body.required(Some(required)).build()));
    }
    for (status, codes) in problems(route) {
        written = written.response(status.to_string(), problem(&codes));
    }
    written.build()
}

/// Whatever may be wrong with a request for a route, by status.
fn problems(route: &Route) -> BTreeMap<u16, Vec<Code>> {
    let changes = changes_something(&route.method);
    let body = [Code::BadRequest, Code::UnsupportedType, Code::UnsupportedEncoding, Code::BodyTooLarge, Code::TimedOut];
    let named = [Code::BadRequest, Code::NotFound];
    // A token that is not known is refused wherever it is shown.
    let of_kind = [Code::WrongHost, Code::Internal, Code::Unauthorized]
        .into_iter()
        .chain(route.role.into_iter().map(|_| Code::Forbidden))
        .chain(body.into_iter().filter(|_| changes))
        .chain([Code::ForeignOrigin, Code::StorageFull].into_iter().filter(|_| changes))
        .chain(named.into_iter().filter(|_| route.path.contains('{')))
        .chain(route.operation.problems.iter().copied());
    let mut found: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in of_kind {
        let codes = found.entry(code.status().as_u16()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    found
}

fn problem(codes: &[Code]) -> ResponseBuilder {
    let says: Vec<String> = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.says())).collect();
    let example =
        codes.first().map(|code| Problem::such_as(*code)).and_then(|problem| serde_json::to_value(problem).ok());
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).example(example);
    ResponseBuilder::new().description(says.join(" ")).content(PROBLEM_TYPE, content.build())
}

#[cfg(test)]
mod tests {
    use crate::http::routes::{document, routes};

    #[test]
    fn the_committed_reference_is_what_the_routes_say() {
        let committed = include_str!("../../../../docs/openapi.json");
        let own = serde_json::to_string_pretty(&document()).unwrap();
        assert!(committed.trim_end() == own, "write it anew: perennial openapi > docs/openapi.json");
    }

    #[test]
    fn every_part_of_a_path_is_described_and_every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).unwrap();
        for route in routes() {
            let named: Vec<&str> = route.path.split(['{', '}']).skip(1).step_by(2).collect();
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let described: Vec<&str> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(described, named, "{}", route.path);
            assert_eq!(operation["x-role"].as_str(), route.role.map(|role| role.as_str()), "{}", route.path);
            let has_body = operation["requestBody"].is_object();
            assert!(!has_body || !route.content.types().is_empty(), "{}", route.path);
        }
        let text = document.to_string();
        for (at, _) in text.match_indices("#/components/schemas/") {
            let name: String = text[at..].chars().skip(21).take_while(|c| *c != '"').collect();
            assert!(document["components"]["schemas"][&name].is_object(), "{name}");
        }
    }
}
