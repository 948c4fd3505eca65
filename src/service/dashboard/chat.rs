//! The chat: what the user writes, and the thread as it grows.

use askama::Template as _;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use channel::conversation::dashboard;
use channel::schedules::zones::tz::Tz;
use futures::Stream;
use serde::Deserialize;
use serde_json::json;
use store::ids::UserId;
use tokio::time::Instant;
use whatsapp_text::text::Format;

use super::Dashboard;
use super::bubbles::{Bubble, Reach};
use super::changes::STREAM_LASTS;
use super::entrance::Visitor;
use super::failure::Failed;
use super::page;
use crate::http::product::messages::EntryView;
use crate::http::product::thread_stream::{StreamEvent, ThreadStream};

/// What the form brings.
#[derive(Deserialize)]
pub(super) struct Writing {
    text: String,
    /// The same one is the same message: a form may be sent twice.
    key: String,
}

/// Takes in what the user writes. The answer comes into the thread.
pub(super) async fn write(
    State(dashboard): State<Dashboard>,
    Extension(Visitor(user)): Extension<Visitor>,
    headers: HeaderMap,
    Form(writing): Form<Writing>,
) -> Response {
    match (take_in(&dashboard, &user, &writing).await, is_by_script(&headers)) {
        (Ok(()), true) => StatusCode::NO_CONTENT.into_response(),
        (Ok(()), false) => Redirect::to("/dashboard#newest").into_response(),
        (Err(failed), true) => failed.in_words(),
        (Err(failed), false) => failed.into_response(),
    }
}

/// Whether the page's script asks, which wants words and no page.
pub(super) fn is_by_script(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/plain")
}

async fn take_in(dashboard: &Dashboard, user: &UserId, writing: &Writing) -> Result<(), Failed> {
    let product = &dashboard.product;
    let mut tx = product.queue.begin(&product.pg).await?;
    let user = store::users::get(&mut tx, user).await?.ok_or_else(Failed::unknown)?;
    if !dashboard::admits(&mut tx, &product.settings, &user).await? {
        return Err(Failed::too_fast());
    }
    let key = Some(writing.key.as_str()).filter(|key| (1..=100).contains(&key.len()));
    // Forms end lines as the web does.
    let text = writing.text.replace("\r\n", "\n");
    dashboard::write(&mut tx, &product.settings, &user, key, &text).await?;
    tx.commit().await?;
    Ok(())
}

/// Where the browser stands in the thread.
#[derive(Deserialize)]
pub(super) struct Place {
    #[serde(default)]
    after: i64,
}

/// The thread as it grows, as pieces of the page.
pub(super) async fn thread(
    State(dashboard): State<Dashboard>,
    Extension(Visitor(user)): Extension<Visitor>,
    Query(place): Query<Place>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Failed> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let known = store::users::get(&mut *dashboard.product.pg.acquire().await?, &user).await?;
    let zone = page::zone_of(&known.ok_or_else(Failed::unknown)?);
    let format = dashboard.product.settings.agent.format;
    // Held as long as the stream.
    let place_among_streams = dashboard.changes.watch(&user).ok_or_else(Failed::too_many_pages)?;
    let watched = ThreadStream::new(dashboard.product, user, last.unwrap_or(place.after));
    let end = Instant::now() + STREAM_LASTS;
    let state = (watched, place_among_streams);
    let stream = futures::stream::unfold(state, move |(mut watched, place_among_streams)| async move {
        let event = tokio::time::timeout_at(end, watched.next()).await.ok()??;
        let event = told(event, watched.seen, zone, format);
        Some((event, (watched, place_among_streams)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

fn told(event: StreamEvent, seen: i64, zone: Tz, format: Format) -> Result<Event, axum::Error> {
    let numbered = Event::default().id(seen.to_string());
    match event {
        StreamEvent::Entry(entry) => {
            let bubble = Bubble::of(EntryView::from(entry), zone, format);
            let html = bubble.render().map_err(axum::Error::new)?;
            numbered.event("said").json_data(json!({ "number": bubble.number, "html": html }))
        }
        StreamEvent::Delivery(delivery) => {
            let Reach { words, is_bad } = Reach::of(delivery.state, delivery.reason.as_deref());
            let data = json!({ "number": delivery.number, "words": words, "isBad": is_bad });
            numbered.event("reach").json_data(data)
        }
    }
}
