use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::ApiError;

/// Lets only requests through that name this machine as their host. A web page can make a browser on this machine send
/// requests here under a name of its own (DNS rebinding); those stop here.
pub(super) async fn local_host_only(request: Request, next: Next) -> Response {
    if names_this_machine(request.headers()) { next.run(request).await } else { ApiError::wrong_host().into_response() }
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_names_pass() {
        let passes = |host: &str| names_this_machine(&HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]));
        assert!(["localhost", "localhost:7411", "127.0.0.1:1", "[::1]:80"].into_iter().all(passes));
        assert!(!["example.org", "127.0.0.1.example.org:7411", "10.0.0.1", ""].into_iter().any(passes));
    }
}
