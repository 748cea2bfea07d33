use std::sync::Arc;

use axum::{
    handler::Handler,
    http::Method,
    routing::{MethodFilter, MethodRouter, on},
};

use super::{
    App, Role, Tokens, admission::Admission, content::Content, guard::changes_something, operation::Operation,
};

/// Something that can be asked.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// What a caller must be allowed, where tokens are asked for; `None` is open to whoever reaches the port.
    pub(super) role: Option<Role>,
    pub(super) content: Content,
    /// What the reference says of it.
    pub(super) operation: Operation,
    pub(super) handler: MethodRouter<App>,
}

impl Route {
    /// What changes something takes a role and a body of a type, even if the table forgot to say so.
    pub(super) fn admission(&self, tokens: Option<Arc<Tokens>>) -> Admission {
        let (role, content) = match (changes_something(&self.method), self.role, self.content) {
            (true, role, Content::Nothing) => (role.or(Some(Role::Operate)), Content::Json),
            (true, role, content) => (role.or(Some(Role::Operate)), content),
            (false, role, content) => (role, content),
        };
        Admission { tokens, role, content }
    }
}

pub(super) fn get<H, T>(path: &'static str, role: Option<Role>, handler: H, operation: Operation) -> Route
where
    H: Handler<T, App>,
    T: 'static,
{
    let handler = on(MethodFilter::GET, handler);
    Route { method: Method::GET, path, role, content: Content::Nothing, operation, handler }
}

pub(super) fn post<H, T>(
    path: &'static str,
    role: Option<Role>,
    content: Content,
    handler: H,
    operation: Operation,
) -> Route
where
    H: Handler<T, App>,
    T: 'static,
{
    Route { method: Method::POST, path, role, content, operation, handler: on(MethodFilter::POST, handler) }
}
