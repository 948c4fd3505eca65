//! `/admin/api/messages`: what people wrote and what it came to, without anybody's words.

use axum::Json;
use axum::extract::State;
use channel::administration::messages::{self, MessageFilter, MessageList};
use channel::administration::story::{self, Story, StorySubject};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::ids::{MessageId, UserId};
use store::message_records::MessageState;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::Admin;
use super::deliveries::{self, Done};
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;

/// Which messages, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MessageQuery {
    /// In the thread of this user.
    #[param(min_length = 1, max_length = 200)]
    user: Option<String>,
    /// From this number, in any spelling with its country's code, linked or not; or from this opaque id. Together with a state, its newest 5,000 are
    /// looked at.
    #[param(min_length = 1, max_length = 200)]
    number: Option<String>,
    /// With this outcome; `waiting` while they have none.
    #[param(inline, value_type = Option<WantedOutcome>)]
    state: Option<String>,
    /// Received at this moment or later.
    since: Option<DateTime<Utc>>,
    /// Received before this moment.
    until: Option<DateTime<Utc>>,
    /// Of a lower number than this: `next` of the page before.
    #[param(value_type = Option<i64>, minimum = 0)]
    before: Option<MessageId>,
    /// How many at most.
    #[serde(default = "super::turns::usual_limit")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: i64,
}

/// An outcome to look for, or none yet.
pub(super) struct WantedOutcome;

impl PartialSchema for WantedOutcome {
    fn schema() -> RefOr<Schema> {
        let texts = MessageState::meanings().map(|(text, _)| text);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts)).into()
    }
}

impl ToSchema for WantedOutcome {}

/// What people wrote, the newest first, and what became of what was said to it.
#[utoipa::path(get, path = "/messages", operation_id = "listWritten", tag = "messages", params(MessageQuery), responses((status = 200, body = MessageList)))]
pub(super) async fn list(
    State(admin): State<Admin>,
    input::Query(query): input::Query<MessageQuery>,
) -> Result<Json<MessageList>, Problem> {
    let MessageQuery { user, number, state, since, until, before, limit } = query;
    let state = state.map(|state| {
        state.parse::<MessageState>().map_err(|unknown| Problem::invalid(format!("state: {unknown}")))
    });
    let user = user.map(UserId::try_from).transpose()?;
    let filter = MessageFilter { user, number, state: state.transpose()?, since, until, before };
    Ok(Json(messages::list(&mut *admin.pg.acquire().await?, &filter, limit).await?))
}

/// What happened, from the webhook to Twilio's last word about the answer: one list in order, with a verdict in words ahead of it. `id` is a message's
/// number or SID, or else a delivery's id or its SID, `turn:12`, `chunk:12`, or a phone's number with its `+`, which
/// is about the latest message from there.
#[utoipa::path(get, path = "/messages/{id}/story", operation_id = "tellStory", tag = "messages", params(("id" = String, Path, min_length = 1, max_length = 80, pattern = r"^\+?[A-Za-z0-9:_ ()-]+$", description = "What it is about")), responses((status = 200, body = Story), (status = 404, description = "There is no such thing.")))]
pub(super) async fn tell(
    State(admin): State<Admin>,
    input::Path(id): input::Path<String>,
) -> Result<Json<Story>, Problem> {
    let subject: StorySubject =
        id.parse().map_err(|error: story::UnknownStorySubject| Problem::not_found(error.to_string()))?;
    let told = story::tell(&mut *admin.pg.acquire().await?, &subject).await?;
    told.map(Json).ok_or_else(|| Problem::not_found(format!("nothing is known of {id}")))
}

/// Takes the stored webhook of a message in anew that has neither an outcome nor a job: under all checks, and without a second effect. A keyword that is
/// older than the latest changes nothing.
#[utoipa::path(post, path = "/messages/{id}/replay", operation_id = "replayMessage", tag = "messages", params(("id" = i64, Path, minimum = 1, description = "The message's number")), responses((status = 200, body = Done), (status = 404, description = "There is no such message."), (status = 409, description = "It is not taken in anew, and why (`refused`).")))]
pub(super) async fn replay(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(id): input::Path<MessageId>,
) -> Result<Json<Done>, Problem> {
    let Admin { pg, queue, settings, .. } = &admin;
    let answered = channel::retries::replays::replay(queue, pg, settings, id, &administrator.name).await?;
    deliveries::done(answered.ok_or_else(|| Problem::not_found(format!("there is no message {id}")))?)
}
