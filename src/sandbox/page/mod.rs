//! `GET /sandbox` in a browser: phones for whoever stands in for the people, and the requests between Twilio and the service beside them.

mod failures;
mod files;
mod forms;
mod phones;
mod requests;
mod stream;
mod switches;
mod thread;
mod uploads;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{self, DefaultBodyLimit, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::state::SandboxState;
use crate::{control, media};
use phones::Opened;
use view::Bench;

/// Live updates, and forms without a reload.
pub(crate) const SCRIPT: pages::Asset = pages::Asset::new(
    "phones",
    "js",
    "text/javascript; charset=utf-8",
    concat!(include_str!("phones.js"), include_str!("forms.js")),
);

pub(crate) fn routes() -> Router<Arc<SandboxState>> {
    Router::new()
        .route("/sandbox", get(open))
        .route("/sandbox/events", get(stream::events))
        .route("/sandbox/files/{sid}", get(files::file))
        .route(
            "/sandbox/phone/message",
            post(uploads::message).layer(DefaultBodyLimit::max(media::SIZE_LIMIT_BYTES)),
        )
        .route("/sandbox/phone/reading", post(forms::reading))
        .route("/sandbox/phone/read", post(forms::read))
        .route("/sandbox/phone/faults", post(forms::faults))
}

/// The page for browsers; programs get the help as text.
async fn open(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/html") {
        return control::help(headers).await.into_response();
    }
    match Opened::read(&pairs) {
        Ok(opened) if opened.has_changed => Redirect::to(&opened.url()).into_response(),
        Ok(opened) => pages::Page(Bench::of(&sandbox, &opened, None)).into_response(),
        Err(refused) => {
            let page = pages::Page(Bench::of(&sandbox, &refused.opened, Some(refused.why)));
            (StatusCode::BAD_REQUEST, page).into_response()
        }
    }
}
