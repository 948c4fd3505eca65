//! The HTTP ways in.

/// What administrators see and do.
pub(crate) mod admin;
/// Who may.
pub(crate) mod bearer;
/// What operators' machines ask.
pub(crate) mod health;
/// By which names we are called.
pub(crate) mod hosts;
/// What requests bring.
pub(crate) mod input;
/// The description of all that.
pub(crate) mod openapi;
/// Why a request was not done.
pub(crate) mod problem;
/// What the product does.
pub(crate) mod product;
/// Twilio's webhook: a message arrives.
pub(crate) mod receiver;
/// Twilio's webhook: what became of a message.
pub(crate) mod status;
/// Webhooks that have gone astray.
pub(crate) mod strays;

use std::iter;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use channel::inbound::batcher::Batcher;
use queue::Queue;
use queue::connections::Connections;
use twilio::webhook::SignatureCheck;

use crate::metrics::webhooks::WEBHOOKS;
use crate::public_url::{Hook, PublicUrl, STATUS_PATH, WEBHOOK_PATH};

/// What the receiver needs. It has connections of its own: slow handlers cost no webhook.
#[derive(Clone)]
pub(crate) struct Receiver(pub(crate) Arc<ReceiverParts>);

pub(crate) struct ReceiverParts {
    pub(crate) pg: Connections,
    pub(crate) queue: Queue,
    pub(crate) together: Batcher,
    pub(crate) settings: Arc<channel::app::Settings>,
    pub(crate) signature: SignatureCheck,
    /// The URL that Twilio was given; `None`: as the request says.
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) account_sid: String,
    pub(crate) whatsapp_number: String,
    /// A webhook gets its answer within this, whatever the database does: Twilio's whole budget is 15 s.
    pub(crate) database_timeout: std::time::Duration,
}

impl std::ops::Deref for Receiver {
    type Target = ReceiverParts;

    fn deref(&self) -> &ReceiverParts {
        &self.0
    }
}

/// Twilio's routes.
pub(crate) fn webhooks(receiver: Receiver, body_limit_bytes: usize) -> Router {
    let mut routes = Router::new();
    let prefixes = receiver.public_url.iter().flat_map(PublicUrl::prefixes);
    for prefix in iter::once("").chain(prefixes) {
        for slash in ["", "/"] {
            routes = routes
                .route(
                    &format!("{prefix}{WEBHOOK_PATH}{slash}"),
                    counted(post(receiver::receive), Hook::Message),
                )
                .route(
                    &format!("{prefix}{STATUS_PATH}{slash}"),
                    counted(post(status::receive), Hook::Status),
                );
        }
    }
    routes.layer(DefaultBodyLimit::max(body_limit_bytes)).with_state(receiver)
}

/// The same, and what it answers is counted.
fn counted(webhook: MethodRouter<Receiver>, hook: Hook) -> MethodRouter<Receiver> {
    webhook.route_layer(middleware::from_fn(move |request: Request, next: Next| async move {
        let begun = Instant::now();
        let response = next.run(request).await;
        WEBHOOKS.note(hook, response.status().as_u16(), begun.elapsed());
        response
    }))
}

/// Operators' routes.
pub(crate) fn health(health: health::Health) -> Router {
    Router::new()
        .route("/", get(health::root))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/readyz/{role}", get(health::ready_role))
        .with_state(health)
}

/// A refusal in a word; Twilio shows it in its debugger. A refusal may be plain text; a success never, since Twilio would send that to the
/// person.
pub(crate) struct WebhookRefusal(pub(crate) StatusCode, pub(crate) &'static str);

impl IntoResponse for WebhookRefusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

pub(crate) fn refuse(status: StatusCode, reason: &'static str) -> Response {
    WebhookRefusal(status, reason).into_response()
}
