//! Which `Host` a request may name, and what every answer to a browser says.
//!
//! A web page can give its own name our address (DNS rebinding), and a browser then takes our answers for the page's. It cannot change the
//! name, so a name that is not ours is answered 421.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::serving::connection::LocalAddress;

/// The hosts of the configured origins; clones are the same ones.
#[derive(Clone)]
pub(crate) struct Hosts(Arc<[String]>);

impl Hosts {
    pub(crate) fn new(hosts: &[String]) -> Self {
        Self(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    fn include(&self, request: &Request) -> bool {
        let Some(authority) = authority_of(request) else { return false };
        let host = authority.host().to_ascii_lowercase();
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            let local = request.extensions().get::<LocalAddress>().map(|local| local.0.ip().to_canonical());
            return ip.to_canonical().is_loopback()
                || local == Some(ip.to_canonical())
                || self.0.contains(&host);
        }
        host == "localhost" || host.ends_with(".localhost") || self.0.contains(&host)
    }
}

/// What a request calls us; `None`: nothing, or several things.
fn authority_of(request: &Request) -> Option<Authority> {
    // An absolute target goes before the header (RFC 9112, section 3.2.2).
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut given = request.headers().get_all(header::HOST).iter();
    match (given.next(), given.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// These routes for those who call us by a name of ours. Browsers keep no answer and take it for nothing else than it says.
pub(crate) fn guarded(routes: Router, hosts: Hosts) -> Router {
    routes
        .fallback(async || Problem::not_found("no such path; see /openapi.json"))
        .layer(middleware::from_fn_with_state(hosts, guard))
}

async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut response = if hosts.include(&request) {
        next.run(request).await
    } else {
        Problem::misdirected("the request's Host is not one of this service: use its address, or add the origin to server.origins")
            .into_response()
    };
    let headers = response.headers_mut();
    // Files that are compiled in say otherwise of themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(target: &str, hosts: &[&str]) -> Request {
        let request = hosts.iter().fold(Request::get(target), |request, host| request.header("Host", *host));
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(LocalAddress("10.1.2.3:8082".parse().unwrap()));
        request
    }

    #[test]
    fn a_host_is_ours_or_it_is_not() {
        let hosts = Hosts::new(&["Admin.example.com".to_owned(), "192.0.2.7".to_owned()]);
        let cases = [
            ("localhost:8080", true),
            ("demo.localhost", true),
            ("127.0.0.1:1", true),
            ("[::1]:8080", true),
            ("10.1.2.3", true),
            ("10.1.2.3:9", true),
            ("admin.EXAMPLE.com:443", true),
            ("192.0.2.7", true),
            ("10.1.2.4", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("admin.example.com.evil.example", false),
            ("", false),
            ("a b", false),
        ];

        for (host, ours) in cases {
            assert_eq!(hosts.include(&request("/v1/plans", &[host])), ours, "{host:?}");
        }
    }

    #[test]
    fn a_request_that_calls_us_nothing_or_two_things_is_not_ours() {
        let hosts = Hosts::new(&[]);

        assert!(!hosts.include(&request("/v1/plans", &[])));
        assert!(!hosts.include(&request("/v1/plans", &["localhost", "evil.example"])));
        assert!(!hosts.include(&request("http://evil.example/v1/plans", &["localhost"])));
        assert!(hosts.include(&request("http://localhost/v1/plans", &["evil.example"])));
    }
}
