//! How one comes in: by a link that the product was given, whose code is exchanged for a session, or on a developer's machine as any user.

use askama::Template;
use axum::Form;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use channel::administration::users::{self, WantedUsers};
use channel::dashboard_access::{self, AccessSecret};
use pages::{Page, STYLE};
use serde::Deserialize;
use sqlx::PgConnection;
use store::ids::UserId;
use url::form_urlencoded;

use super::cookie_jar::Kept;
use super::failure::Failed;
use super::{Dashboard, chat, page};

/// Whom the page is for.
#[derive(Clone)]
pub(super) struct Visitor(pub(super) UserId);

/// Users that are offered on a developer's machine.
const OFFERED: i64 = 20;

/// What stands where the page would.
#[derive(Template)]
#[template(path = "door.html")]
struct Door {
    said: Option<String>,
    /// Anybody may be any user.
    offers_users: bool,
    users: Vec<String>,
}

/// Goes on by itself. A browser that was led here by another site does not show us our cookie; from this page it does.
#[derive(Template)]
#[template(path = "opening.html")]
struct Opening {}

/// Who somebody is on a developer's machine.
#[derive(Deserialize)]
pub(super) struct Entering {
    user: String,
}

/// Lets whoever has a session pass, and the page know who it is.
pub(super) async fn require(
    State(dashboard): State<Dashboard>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failed> {
    if request.method() == Method::GET
        && request.uri().path() == page::PATH
        && let Some(code) = code_in(request.uri().query())
    {
        return follow_link(&dashboard, request.headers(), &code).await;
    }
    let Some(visitor) = visitor(&dashboard, request.headers()).await? else {
        return match (request.method().is_safe(), request.uri().path() == page::PATH) {
            (true, true) => door(&dashboard, request.headers()).await,
            (true, false) => Ok(StatusCode::UNAUTHORIZED.into_response()),
            (false, _) if chat::is_by_script(request.headers()) => Ok(Failed::signed_out().in_words()),
            (false, _) => Err(Failed::signed_out()),
        };
    };
    request.extensions_mut().insert(visitor);
    Ok(next.run(request).await)
}

async fn visitor(dashboard: &Dashboard, headers: &HeaderMap) -> Result<Option<Visitor>, Failed> {
    let Some(session) = dashboard.cookies.given(headers, Kept::Session) else { return Ok(None) };
    let mut conn = dashboard.product.pg.acquire().await?;
    Ok(dashboard_access::user_of(&mut conn, &session).await?.map(Visitor))
}

fn code_in(query: Option<&str>) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, _)| name == "code").map(|(_, code)| code.into_owned())
}

/// Exchanges the code, and leads to the address without it.
async fn follow_link(dashboard: &Dashboard, headers: &HeaderMap, code: &str) -> Result<Response, Failed> {
    // A browser that fetches ahead would use the code up for a page that nobody opens.
    if headers.get("sec-purpose").is_some_and(|purpose| purpose.as_bytes().starts_with(b"prefetch")) {
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let mut tx = dashboard.product.pg.begin().await?;
    let session = dashboard_access::exchange(&mut tx, code).await?;
    tx.commit().await?;
    let cookie = match &session {
        Some(session) => dashboard.cookies.set(headers, Kept::Session, session.expose()),
        None => dashboard.cookies.set(
            headers,
            Kept::Said,
            "This link was opened before, or more than five minutes ago. CloudyBot makes you a new one.",
        ),
    };
    Ok(bare_page([cookie]))
}

/// The page's address, and nothing that tells where one came from.
fn bare_page(cookies: impl IntoIterator<Item = Option<(HeaderName, HeaderValue)>>) -> Response {
    let mut response = Redirect::to(page::PATH).into_response();
    let headers = response.headers_mut();
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for (name, value) in cookies.into_iter().flatten() {
        headers.append(name, value);
    }
    response
}

async fn door(dashboard: &Dashboard, headers: &HeaderMap) -> Result<Response, Failed> {
    let is_led_here =
        headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
    if is_led_here {
        return Ok(Page(Opening {}).into_response());
    }
    let users = match dashboard.offers_users {
        true => offered(&mut *dashboard.product.pg.acquire().await?).await?,
        false => Vec::new(),
    };
    let status = if dashboard.offers_users { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let said = dashboard.cookies.given(headers, Kept::Said);
    let door = Door { said, offers_users: dashboard.offers_users, users };
    let mut response = (status, Page(door)).into_response();
    response.headers_mut().extend(dashboard.cookies.set(headers, Kept::Said, ""));
    Ok(response)
}

async fn offered(conn: &mut PgConnection) -> Result<Vec<String>, Failed> {
    let anybody = WantedUsers { id: None, plan: None, name: None, phone: None };
    let found = users::list(conn, anybody, None, OFFERED).await.map_err(Failed::of)?;
    Ok(found.users.into_iter().map(|user| user.user.to_string()).collect())
}

/// Lets a developer in, as somebody who is known or new.
pub(super) async fn enter(
    State(dashboard): State<Dashboard>,
    headers: HeaderMap,
    Form(entering): Form<Entering>,
) -> Result<Response, Failed> {
    if !dashboard.offers_users {
        return Err(Failed::signed_out());
    }
    let user: UserId = entering.user.trim().parse().map_err(|wrong| Failed::invalid(format!("{wrong}")))?;
    let product = &dashboard.product;
    let mut tx = product.pg.begin().await?;
    store::users::create_or_lock(&mut tx, &user, &product.settings.plans.default().name).await?;
    let session: Option<AccessSecret> = dashboard_access::begin(&mut tx, &user).await?;
    tx.commit().await?;
    let session = session.ok_or_else(Failed::unknown)?;
    Ok(bare_page([dashboard.cookies.set(&headers, Kept::Session, session.expose())]))
}

/// Ends the session.
pub(super) async fn leave(
    State(dashboard): State<Dashboard>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    if let Some(session) = dashboard.cookies.given(&headers, Kept::Session) {
        dashboard_access::end(&mut *dashboard.product.pg.acquire().await?, &session).await?;
    }
    Ok(bare_page([Kept::Session, Kept::Claim].map(|kept| dashboard.cookies.set(&headers, kept, ""))))
}
