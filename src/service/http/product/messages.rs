//! `/v1/users/{user}/messages` and `events`: the dashboard's chat. It is the same thread and the same agent as on WhatsApp.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use channel::conversation::{dashboard, message_text};
use channel::texts;
use chrono::{DateTime, Utc};
use futures::Stream;
use serde::{Deserialize, Serialize};
use store::deliveries::DeliveryState;
use store::entries::{self, EntryDelivery, ThreadEntry};
use store::ids::{DeliveryId, ScheduleName};
use store::messages::ChannelName;
use utoipa::{IntoParams, ToSchema};

use super::thread_stream::{StreamEvent, ThreadStream};
use super::{Product, UserPath, known_user, notifications};
use crate::http::input;
use crate::http::problem::Problem;

/// What a user writes in the dashboard.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageRequest {
    /// The words.
    #[schema(min_length = 1, max_length = 20_000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    text: String,
}

/// That it was taken in; the answer comes into the thread.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageAccepted {
    /// Its number in the thread, behind which the answer comes; null: it was taken in long before.
    id: Option<i64>,
    /// The same request with the same `Idempotency-Key` had been taken in before.
    duplicate: bool,
}

/// Something that was said.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryView {
    /// From 1, in order; for `after`.
    pub(crate) number: i64,
    /// Who said it.
    pub(crate) role: Speaker,
    /// Where it was written, or where the answer went.
    pub(crate) channel: ChannelName,
    /// The words; files and places are named in brackets.
    pub(crate) text: String,
    /// The assistant could not answer.
    failed: bool,
    /// The schedule that made the assistant speak.
    #[schema(value_type = Option<String>)]
    pub(crate) schedule: Option<ScheduleName>,
    /// What carries it to the person's phone; null: nothing does.
    pub(crate) delivery: Option<EntryDeliveryView>,
    pub(crate) at: DateTime<Utc>,
}

/// The delivery of an entry; `GET /v1/deliveries/{id}` shows all of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryDeliveryView {
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    /// Where it stands.
    pub(crate) state: DeliveryState,
    /// Why it ended other than well.
    pub(crate) reason: Option<String>,
}

/// That the delivery of an entry has come to another state.
#[derive(Serialize)]
struct DeliveryChange {
    /// The entry.
    number: i64,
    delivery: EntryDeliveryView,
}

impl From<EntryDelivery> for DeliveryChange {
    fn from(delivery: EntryDelivery) -> Self {
        let EntryDelivery { number, id, state, reason } = delivery;
        Self { number, delivery: EntryDeliveryView { id, state, reason } }
    }
}

/// Who said something.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Speaker {
    /// The person.
    User,
    /// The agent, or a schedule in its name.
    Assistant,
}

impl From<ThreadEntry> for EntryView {
    fn from(entry: ThreadEntry) -> Self {
        Self {
            number: entry.number,
            role: if entry.by_person { Speaker::User } else { Speaker::Assistant },
            channel: entry.channel,
            failed: entry.text.is_none(),
            text: match (entry.text, entry.params) {
                (Some(text), Some(params)) => message_text::shown(&text, &params),
                (text, _) => text.unwrap_or_else(|| texts::APOLOGY.to_owned()),
            },
            schedule: entry.schedule,
            delivery: entry.delivery_id.zip(entry.delivery_state).map(|(id, state)| EntryDeliveryView {
                id,
                state,
                reason: entry.delivery_reason,
            }),
            at: entry.at,
        }
    }
}

/// A part of the thread.
#[derive(Serialize, ToSchema)]
pub(super) struct Thread {
    messages: Vec<EntryView>,
}

/// Which part of the thread.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ThreadQuery {
    /// Only what came behind this number.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    after: i64,
    /// How many at most.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: i64,
}

fn usual_limit() -> i64 {
    100
}

/// Writes to the assistant. The same `Idempotency-Key` is the same message. "stop browser", "browser stop" and "stop session" end the
/// assistant's browser session; a lone "stop" stops nothing, and the thread says what does.
#[utoipa::path(post, path = "/users/{user}/messages", operation_id = "writeMessage", tag = "chat", params(UserPath, ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[ -~]*$", description = "Makes a second request harmless")), request_body = MessageRequest, responses((status = 202, body = MessageAccepted), (status = 404, description = "There is no such user."), (status = 409, description = "The user's assistant is paused (`paused`).")))]
pub(super) async fn write(
    State(product): State<Product>,
    UserPath { user }: UserPath,
    headers: HeaderMap,
    input::Json(request): input::Json<MessageRequest>,
) -> Result<(StatusCode, Json<MessageAccepted>), Problem> {
    let key = notifications::idempotency_key(&headers)?;
    let mut tx = product.queue.begin(&product.pg).await?;
    let user = known_user(&mut tx, &user).await?;
    let written = dashboard::write(&mut tx, &product.settings, &user, key, &request.text).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(MessageAccepted { id: written.number, duplicate: written.is_duplicate })))
}

/// The thread, whatever channel was used.
#[utoipa::path(get, path = "/users/{user}/messages", operation_id = "listMessages", tag = "chat", params(UserPath, ThreadQuery), responses((status = 200, body = Thread), (status = 404, description = "There is no such user.")))]
pub(super) async fn list(
    State(product): State<Product>,
    UserPath { user }: UserPath,
    input::Query(query): input::Query<ThreadQuery>,
) -> Result<Json<Thread>, Problem> {
    let mut conn = product.pg.acquire().await?;
    let user = known_user(&mut conn, &user).await?;
    let entries = entries::after(&mut conn, &user.id, query.after, query.limit).await?;
    Ok(Json(Thread { messages: entries.into_iter().map(EntryView::from).collect() }))
}

/// Where a stream goes on.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Only what comes behind this number; without it, and without `Last-Event-ID`, all.
    #[param(minimum = 0)]
    after: Option<i64>,
}

/// The thread as it grows: an event `message` for each entry, and an event `delivery` for each change of a delivery's state. The id of an event is the
/// number of the last entry, so that a client that lost the connection goes on where it stopped; it is told first how the deliveries of the fifty entries
/// before that stand, so it misses no change. A state may be left out when the next one follows within the same second.
#[utoipa::path(get, path = "/users/{user}/events", operation_id = "watchMessages", tag = "chat", params(UserPath, ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "The last number that was seen"), EventsQuery), responses((status = 200, content_type = "text/event-stream", body = String, description = "Server-sent events. The data is JSON: of an event `message` an entry of the thread, an `EntryView`; of an event `delivery` the `number` of an entry and its `delivery`, an `EntryDeliveryView`. The stream ends when the user is erased."), (status = 404, description = "There is no such user.")))]
pub(super) async fn events(
    State(product): State<Product>,
    UserPath { user }: UserPath,
    input::Query(query): input::Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Problem> {
    let last_seen = headers.get("last-event-id").map(|id| id.to_str().ok()?.parse().ok());
    let last_seen = last_seen
        .map(|number| {
            number.ok_or_else(|| Problem::bad_request("Last-Event-ID: it is no number of an entry"))
        })
        .transpose()?;
    let user = known_user(&mut *product.pg.acquire().await?, &user).await?;
    let watched = ThreadStream::new(product, user.id, last_seen.or(query.after).unwrap_or(0));
    let stream = futures::stream::unfold(watched, async |mut watched| {
        let event = watched.next().await?;
        let numbered = Event::default().id(watched.seen.to_string());
        let event = match event {
            StreamEvent::Entry(entry) => numbered.event("message").json_data(EntryView::from(entry)),
            StreamEvent::Delivery(delivery) => {
                numbered.event("delivery").json_data(DeliveryChange::from(delivery))
            }
        };
        Some((event, watched))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
