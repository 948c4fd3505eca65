//! What an action came to, told once on the page that follows it. It waits in a cookie, so that a link cannot put words there.

use std::convert::Infallible;

use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response, ResponseParts};
use url::form_urlencoded;

const COOKIE: &str = "admin-said";

/// Longer texts are cut: a browser drops a cookie of more than 4 kB.
const LONGEST: usize = 1000;

/// What the last action came to.
pub(super) struct Flash(pub(super) String);

impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for Flash {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        let lines = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let said = lines.flat_map(|line| line.split(';')).find_map(|pair| {
            let value = pair.trim().strip_prefix(COOKIE)?.strip_prefix('=')?;
            let pair = format!("said={value}");
            let said = form_urlencoded::parse(pair.as_bytes()).next().map(|(_, said)| said.into_owned());
            said.filter(|said| !said.is_empty())
        });
        Ok(said.map(Self))
    }
}

/// Goes to a page of ours, which tells what was done.
pub(super) struct Done {
    to: String,
    said: String,
}

impl Done {
    pub(super) fn new(to: impl Into<String>, said: impl Into<String>) -> Self {
        Self { to: to.into(), said: said.into() }
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let said: String = self.said.chars().take(LONGEST).collect();
        let value: String = form_urlencoded::byte_serialize(said.as_bytes()).collect();
        let mut response = Redirect::to(&self.to).into_response();
        if let Ok(cookie) = HeaderValue::try_from(format!(
            "{COOKIE}={value}; Path=/admin; Max-Age=20; HttpOnly; SameSite=Strict"
        )) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// Takes back what a page has told.
pub(super) struct Told;

impl axum::response::IntoResponseParts for Told {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        let cookie =
            HeaderValue::from_static("admin-said=; Path=/admin; Max-Age=0; HttpOnly; SameSite=Strict");
        parts.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(parts)
    }
}
