//! Logging in: a token of an administrator is exchanged for a session, whose cookie is all that the browser keeps.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use pages::{Page, STYLE};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use store::admin_sessions::{self, AdminSession};

use super::Console;
use super::failure::Failed;
use crate::config::administrators::Administrator;
use crate::cookies::{self, Site};
use crate::http::bearer::BearerTokens;

/// A session ends after this, however it is used: a working day.
const LASTS: Duration = Duration::from_secs(12 * 3600);

/// What the browser keeps.
const COOKIE: &str = "admin";

/// Who may log in.
#[derive(Clone)]
pub(super) struct Sessions(BearerTokens);

impl Sessions {
    pub(super) fn of(tokens: BearerTokens) -> Self {
        Self(tokens)
    }
}

#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage {
    refused: bool,
    next: String,
}

/// Where to go after logging in.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

/// What the form brings.
#[derive(Deserialize)]
pub(super) struct Login {
    token: String,
    #[serde(default)]
    next: String,
}

/// The form.
pub(super) async fn form(axum::extract::Query(wanted): axum::extract::Query<Wanted>) -> Page<LoginPage> {
    Page(LoginPage { refused: false, next: own_path(&wanted.next).to_owned() })
}

/// Begins a session for a right token.
pub(super) async fn log_in(
    State(console): State<Console>,
    headers: HeaderMap,
    Form(login): Form<Login>,
) -> Result<Response, Failed> {
    let next = own_path(&login.next).to_owned();
    let Some(who) = console.sessions.0.holder(login.token.trim()).await else {
        return Ok((StatusCode::FORBIDDEN, Page(LoginPage { refused: true, next })).into_response());
    };
    let mut secret = [0; 32];
    OsRng.try_fill_bytes(&mut secret).map_err(Failed::of)?;
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let session = AdminSession { administrator: who.name.to_string(), may_act: who.may_act };
    let mut conn = console.admin.pg.acquire().await?;
    admin_sessions::begin(&mut conn, &hash(&secret), &session, LASTS).await?;
    let mut response = Redirect::to(&next).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie(&headers, &secret, LASTS)?);
    Ok(response)
}

/// Ends the session.
pub(super) async fn log_out(State(console): State<Console>, headers: HeaderMap) -> Result<Response, Failed> {
    if let Some(secret) = secret_of(&headers) {
        admin_sessions::end(&mut *console.admin.pg.acquire().await?, &hash(secret)).await?;
    }
    let mut response = Redirect::to("/admin/login").into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie(&headers, "", Duration::ZERO)?);
    Ok(response)
}

/// Lets whoever has a session pass, and the page know who it is. Who may only look cannot send a form.
pub(super) async fn require(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failed> {
    let Some(who) = who(&console, request.headers()).await? else {
        let wanted = request.uri().path_and_query().map_or("/admin", |wanted| wanted.as_str());
        if request.uri().path() == "/admin/events" {
            return Ok(StatusCode::UNAUTHORIZED.into_response());
        }
        let wanted = if request.method() == Method::GET { wanted } else { "/admin" };
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", wanted).finish();
        return Ok(Redirect::to(&format!("/admin/login?{query}")).into_response());
    };
    let leaves = request.uri().path() == "/admin/logout";
    if !who.may_act && !request.method().is_safe() && !leaves {
        return Err(Failed::view_only(who));
    }
    request.extensions_mut().insert(who);
    Ok(next.run(request).await)
}

/// Whose session it is. One of somebody who has no token or another right by now does not count.
async fn who(console: &Console, headers: &HeaderMap) -> Result<Option<Administrator>, Failed> {
    let Some(secret) = secret_of(headers) else { return Ok(None) };
    let session = admin_sessions::find(&mut *console.admin.pg.acquire().await?, &hash(secret)).await?;
    let who =
        session.map(|session| Administrator { name: session.administrator.into(), may_act: session.may_act });
    Ok(who.filter(|who| console.sessions.0.know(who)))
}

/// A path of ours, or else the first page: nobody is sent elsewhere by a link to the form.
fn own_path(next: &str) -> &str {
    let is_own = next == "/admin" || next.starts_with("/admin/") || next.starts_with("/admin?");
    if is_own && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') { next } else { "/admin" }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn secret_of(headers: &HeaderMap) -> Option<&str> {
    cookies::given(headers, COOKIE)
}

fn cookie(headers: &HeaderMap, secret: &str, lasts: Duration) -> Result<HeaderValue, Failed> {
    cookies::set(headers, COOKIE, secret, lasts, Site::Own)
        .ok_or_else(|| Failed::of("the session's cookie cannot be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_logging_in() {
        for own in ["/admin", "/admin/jobs?state=dead", "/admin?x=1"] {
            assert_eq!(own_path(own), own);
        }
        for other in
            ["", "//evil.example", "https://evil.example", "/adminevil", "/admin/\\evil", "/admin/\r\nx: y"]
        {
            assert_eq!(own_path(other), "/admin", "{other:?}");
        }
    }
}
