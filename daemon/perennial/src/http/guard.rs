//! What every request must pass before anything looks at it. A browser on this machine can be made to send requests here
//! by any page that it shows; nothing of the kind may read or change anything.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, Method,
        header::{self, HeaderValue},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::ApiError;

/// What a browser says of where a request comes from. Pages cannot set it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the names that requests give this machine are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// It must be a loopback name: whoever reaches the listener needs nothing else, and a page can reach it under a name of
    /// its own (DNS rebinding).
    Loopback,
    /// Any: a token, or the right to open a Unix socket, is asked for, and no page has either.
    Any,
}

/// Refuses what a foreign page can send. What changes something is known by its method, so that a route cannot forget it.
pub(super) async fn guard(State(host): State<Host>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if host == Host::Loopback && !names_this_machine(headers) {
        return ApiError::wrong_host().into_response();
    }
    if changes_something(request.method()) && !is_own(headers) {
        return ApiError::foreign_origin().into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a request of this method may change something. All others only read; OPTIONS is answered by no route.
pub(super) fn changes_something(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Whether a program sends this, or a page of this very address.
fn is_own(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = |value: &HeaderValue| value.to_str().is_ok_and(|origin| is_same_origin(origin, host));
    let site = |value: &HeaderValue| matches!(value.as_bytes(), b"same-origin" | b"none");
    headers.get_all(header::ORIGIN).iter().all(own) && headers.get_all(FETCH_SITE).iter().all(site)
}

/// Whether an `Origin` names the host that the request is sent to. A proxy before this may speak HTTPS, so the scheme is
/// not compared, and a default port may be written or not.
fn is_same_origin(origin: &str, host: Option<&str>) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let plain = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
    host.is_some_and(|host| !authority.is_empty() && plain(authority) == plain(host))
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().all(|host| host.to_str().is_ok_and(is_loopback_name))
}

/// Whether a `Host` is a loopback name or address, with a port or without.
fn is_loopback_name(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some(parts) => parts,
            None => return false,
        },
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| {
        port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_name = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_name && is_port(port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(named: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in named {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn only_local_names_pass() {
        let passes = |host: &str| names_this_machine(&headers(&[("host", host)]));
        assert!(
            ["localhost", "LOCALHOST:7411", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "[::1]"].into_iter().all(passes)
        );
        let foreign = ["example.org", "127.0.0.1.example.org:7411", "10.0.0.1", "", "[::1", "localhost:x", "[::1].org"];
        assert!(!foreign.into_iter().any(passes));
        assert!(!names_this_machine(&headers(&[("host", "localhost"), ("host", "example.org")])), "both count");
    }

    #[test]
    fn only_programs_and_own_pages_change_anything() {
        let own = |named: &[(&'static str, &str)]| is_own(&headers(&[named, &[("host", "localhost:7411")]].concat()));
        assert!(own(&[]));
        assert!(own(&[("origin", "http://localhost:7411"), ("sec-fetch-site", "same-origin")]));
        assert!(own(&[("sec-fetch-site", "none")]));
        for foreign in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://localhost")],
            &[("origin", "http://localhost:8000")],
            &[("origin", "file://")],
            &[("origin", "")],
            &[("origin", "http://localhost:7411"), ("origin", "http://evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "")],
        ] {
            assert!(!own(foreign), "{foreign:?}");
        }
        let without_host = is_own(&headers(&[("origin", "http://localhost:7411")]));
        assert!(!without_host, "an origin is compared with something");
        assert!(is_same_origin("https://Perennial.example", Some("perennial.example:443")), "behind a proxy");
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_and_no_foreign_name_passes(text in "\\PC{0,60}", port in 0_u16..) {
            let _ = (is_loopback_name(&text), is_same_origin(&text, Some(&text)));
            let foreign = format!("{text}.example:{port}");
            let host = format!("localhost:{port}");
            prop_assert!(!is_loopback_name(&foreign));
            let origin = format!("http://{}", foreign);
            prop_assert!(!is_same_origin(&origin, Some(&host)));
        }
    }
}
