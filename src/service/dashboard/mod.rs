//! `/dashboard`: the user's page. Links a phone, chats on the same thread as WhatsApp, tells usage, opt-out and what comes next. It asks and does what
//! `/v1` does, by the same functions, for the user whose session the browser has.

mod bubbles;
mod changes;
mod chat;
mod cookie_jar;
mod entrance;
mod failure;
mod page;
mod times;
mod usage_card;
mod whatsapp;
mod whatsapp_card;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use pages::Asset;
use tower_http::csrf::CsrfLayer;

use self::changes::Changes;
use self::cookie_jar::CookieJar;
use self::failure::Failed;
use crate::config::dashboard::DashboardOrigins;
use crate::http::product::Product;

/// Sends what is written without a reload, and shows what is said.
const CHAT: Asset = Asset::new("chat", "js", "text/javascript; charset=utf-8", include_str!("chat.js"));

/// What the page needs.
#[derive(Clone)]
struct Dashboard {
    product: Product,
    changes: Changes,
    cookies: CookieJar,
    /// Whoever comes without a session may be any user: on a developer's machine.
    offers_users: bool,
    /// What a browser may do with the page.
    policy: HeaderValue,
}

/// The page. With `offers_users` it lets anybody in who can reach it. Forms are taken from the page itself alone.
pub(crate) fn routes(
    product: Product,
    origins: &DashboardOrigins,
    offers_users: bool,
) -> anyhow::Result<Router> {
    let dashboard = Dashboard {
        changes: Changes::start(product.pg.clone(), product.threads.stop().clone()),
        cookies: CookieJar::new(!origins.embed_in.is_empty()),
        policy: HeaderValue::try_from(pages::policy_within(&origins.embed_in))?,
        product,
        offers_users,
    };
    let mut same_site = CsrfLayer::new();
    if let Some(own) = &origins.own {
        same_site = same_site.add_trusted_origin(own)?;
    }
    let same_site = same_site.with_rejection_response(|_| Failed::foreign().into_response());
    Ok(Router::new()
        .route("/dashboard", get(page::page))
        .route("/dashboard/events", get(changes::events))
        .route("/dashboard/thread", get(chat::thread))
        .route("/dashboard/messages", post(chat::write))
        .route("/dashboard/claim", post(whatsapp::claim))
        .route("/dashboard/unlink", post(whatsapp::unlink))
        .route("/dashboard/times", post(times::change))
        .route("/dashboard/leave", post(entrance::leave))
        .layer(middleware::from_fn_with_state(dashboard.clone(), entrance::require))
        .route("/dashboard/enter", post(entrance::enter))
        .layer(same_site)
        .layer(middleware::from_fn_with_state(dashboard.clone(), keep_to_policy))
        .merge(pages::routes(&[CHAT]))
        .with_state(dashboard))
}

/// Every answer has the policy of this page, which others may frame where the operator says so.
async fn keep_to_policy(State(dashboard): State<Dashboard>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, dashboard.policy);
    response
}
