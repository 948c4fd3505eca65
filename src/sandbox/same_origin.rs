//! Refuses what pages of other sites send: a browser sends their forms along with the reader's reach to this machine.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Lets requests through that change nothing, that come from no browser, or from a page of the sandbox itself. Another port of this machine is
/// the same site for a browser, and another origin: it may belong to another person's program.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_safe || is_own(request.headers()) {
        return next.run(request).await;
    }
    let reason = "the sandbox takes nothing from pages of other sites: use its own page, or a program\n";
    (StatusCode::FORBIDDEN, reason).into_response()
}

/// Browsers tell where a request comes from in one of the two headers, and all that are in use in the second at least; programs set neither.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let by_site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let host = text(header::HOST.as_str()).unwrap_or_default();
    let by_origin = text(header::ORIGIN.as_str())
        .is_none_or(|origin| origin.strip_prefix("http://").is_some_and(|named| named == host));
    by_site && by_origin
}
