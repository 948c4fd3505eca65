//! `/admin/api/turns` and `/admin/api/messages`: what people wrote and what it came to, without anybody's words.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use store::apologies::NoApology;
use store::attachments::{Attachment, AttachmentState};
use store::ids::{MessageId, TurnId};
use store::messages::{ChannelName, MessageOutcome};
use store::text_enum::TextEnum as _;
use store::turn_records::{self, CallRecord, MessageRecord, MessageState, RecordFilter, TurnRecord};
use store::turns::TurnState;
use store::withheld::WithheldKind;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::Admin;
use crate::http::input;
use crate::http::problem::Problem;

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecordQuery {
    /// This user's.
    #[param(min_length = 1, max_length = 200)]
    user: Option<String>,
    // Each list has states of its own, and describes them.
    #[param(ignore)]
    state: Option<String>,
    /// Of a lower number than this: the last one of the page before.
    #[param(minimum = 0)]
    before: Option<i64>,
    /// How many at most.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: i64,
}

fn usual_limit() -> i64 {
    50
}

impl RecordQuery {
    /// `known`: the states that `read` understands.
    fn filter<S>(&self, known: &[&str], read: fn(&str) -> Option<S>) -> Result<RecordFilter<'_, S>, Problem> {
        let state = self.state.as_deref().map(|state| {
            read(state).ok_or_else(|| {
                let known = known.join(", ");
                Problem::invalid(format!("state: {state:?} is none; the states are {known}"))
            })
        });
        Ok(RecordFilter {
            user_id: self.user.as_deref(),
            state: state.transpose()?,
            before: self.before,
            limit: self.limit,
        })
    }
}

/// Turns, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct TurnList {
    turns: Vec<TurnView>,
}

/// A run of the agent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TurnView {
    #[schema(value_type = i64)]
    id: TurnId,
    /// null: the user was erased.
    user: Option<String>,
    /// Where it is answered.
    channel: ChannelName,
    /// How far it is.
    state: TurnState,
    /// Who was asked.
    agent: String,
    /// The schedule that asked; null: somebody wrote.
    schedule: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    /// From the first call to the end.
    latency_ms: Option<i64>,
    /// What its answer held that is not for a person, and went to nobody.
    withheld: Vec<WithheldKind>,
    /// Why it failed.
    error: Option<String>,
    /// Why nobody apologised though it failed: `retried`, it was tried again by hand; `same_outage`, the person had read an apology since the agent last
    /// answered.
    no_apology: Option<NoApology>,
    /// Its calls of the agent that count. One that began no run, because the gateway was away or wanted to be left alone, does not.
    runs: i32,
    /// When the person was told that it takes longer; null: not at all.
    told_at: Option<DateTime<Utc>>,
    /// The agent is left alone until then; null: it is at work, or the turn has ended.
    ask_again_at: Option<DateTime<Utc>>,
    /// The messages it answers.
    #[schema(value_type = Vec<i64>)]
    messages: Vec<MessageId>,
    /// Its calls of the agent; a second one after a crash or a failure.
    #[serde(rename = "attempts")]
    calls: Vec<CallView>,
}

/// A call of the agent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CallView {
    #[serde(rename = "attempt")]
    call: i32,
    /// How often the agent was asked under this number: more than once while no run began. The times and the error are those of the latest.
    tries: i32,
    started_at: DateTime<Utc>,
    /// null: under way, or its process died.
    ended_at: Option<DateTime<Utc>>,
    latency_ms: Option<i64>,
    /// Why it failed.
    error: Option<String>,
}

impl From<CallRecord> for CallView {
    fn from(record: CallRecord) -> Self {
        let CallRecord { call, tries, started_at, ended_at, error, .. } = record;
        Self { call, tries, started_at, ended_at, latency_ms: took_ms(started_at, ended_at), error }
    }
}

fn took_ms(started_at: DateTime<Utc>, ended_at: Option<DateTime<Utc>>) -> Option<i64> {
    ended_at.map(|ended_at| TimeDelta::num_milliseconds(&(ended_at - started_at)))
}

/// Runs of the agent, the newest first.
#[utoipa::path(get, path = "/turns", operation_id = "listTurns", tag = "turns", params(RecordQuery, ("state" = inline(Option<TurnState>), Query, description = "In this state.")), responses((status = 200, body = TurnList)))]
pub(super) async fn turns(
    State(admin): State<Admin>,
    input::Query(query): input::Query<RecordQuery>,
) -> Result<Json<TurnList>, Problem> {
    let filter = query.filter(TurnState::TEXTS, |state| state.parse().ok())?;
    let mut conn = admin.pg.acquire().await?;
    let records = turn_records::turns(&mut conn, &filter).await?;
    let ids: Vec<TurnId> = records.iter().map(|turn| turn.id).collect();
    let mut calls = turn_records::calls(&mut conn, &ids).await?;
    let view = |record: TurnRecord| {
        let TurnRecord {
            id,
            user_id,
            channel,
            state,
            agent,
            schedule,
            started_at,
            finished_at,
            withheld,
            error,
            no_apology,
            runs,
            told_at,
            ask_again_at,
            message_ids,
        } = record;
        let own = calls.extract_if(.., |call| call.turn_id == id).map(CallView::from).collect();
        TurnView {
            id,
            user: user_id,
            channel,
            state,
            agent,
            schedule,
            started_at,
            finished_at,
            latency_ms: took_ms(started_at, finished_at),
            withheld,
            error,
            no_apology,
            runs,
            told_at,
            ask_again_at,
            messages: message_ids,
            calls: own,
        }
    };
    Ok(Json(TurnList { turns: records.into_iter().map(view).collect() }))
}

/// Messages, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageList {
    messages: Vec<MessageView>,
}

/// A message that somebody wrote.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MessageView {
    #[schema(value_type = i64)]
    id: MessageId,
    /// Twilio's id, or the dashboard's.
    sid: String,
    /// Where it was written.
    channel: ChannelName,
    /// null: it is in nobody's conversation.
    user: Option<String>,
    /// Its writer's number without its middle; null: it was written in the dashboard.
    from: Option<String>,
    received_at: DateTime<Utc>,
    /// Its webhook never came; Twilio's list had it.
    backfilled: bool,
    /// The turn that answers it.
    #[schema(value_type = Option<i64>)]
    turn: Option<TurnId>,
    /// How it ended; null: it has not.
    outcome: Option<MessageOutcome>,
    /// Why.
    reason: Option<String>,
    /// Its files, as far as a turn has needed them.
    attachments: Vec<AttachmentView>,
}

/// A file that came with a message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AttachmentView {
    index: i32,
    /// What its writer says it is.
    content_type: String,
    /// What came of it.
    state: AttachmentState,
    size_bytes: Option<i64>,
    /// Why it could not be shown.
    reason: Option<String>,
}

impl From<Attachment> for AttachmentView {
    fn from(attachment: Attachment) -> Self {
        let Attachment { index, content_type, state, size_bytes, reason, .. } = attachment;
        Self { index, content_type, state, size_bytes, reason }
    }
}

/// A message that has not ended.
const WAITING: &str = "waiting";

/// An outcome to look for, or none yet.
struct WantedOutcome;

impl PartialSchema for WantedOutcome {
    fn schema() -> RefOr<Schema> {
        let texts = [&[WAITING], MessageOutcome::TEXTS].concat();
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts)).into()
    }
}

impl ToSchema for WantedOutcome {}

/// What people wrote, the newest first.
#[utoipa::path(get, path = "/messages", operation_id = "listWritten", tag = "turns", params(RecordQuery, ("state" = inline(Option<WantedOutcome>), Query, description = "With this outcome; `waiting` while they have none.")), responses((status = 200, body = MessageList)))]
pub(super) async fn messages(
    State(admin): State<Admin>,
    input::Query(query): input::Query<RecordQuery>,
) -> Result<Json<MessageList>, Problem> {
    let known = [&[WAITING], MessageOutcome::TEXTS].concat();
    let filter = query.filter(&known, |state| match state {
        WAITING => Some(MessageState::Waiting),
        outcome => outcome.parse().ok().map(MessageState::Ended),
    })?;
    let mut conn = admin.pg.acquire().await?;
    let records = turn_records::messages(&mut conn, &filter).await?;
    let ids: Vec<MessageId> = records.iter().map(|message| message.id).collect();
    let mut attachments = store::attachments::of_messages(&mut conn, &ids).await?;
    let view = |record: MessageRecord| {
        let own = attachments.extract_if(.., |file| file.message_id == record.id).map(AttachmentView::from);
        MessageView {
            attachments: own.collect(),
            id: record.id,
            sid: record.sid,
            channel: record.channel,
            user: record.user_id,
            from: record.address.as_deref().map(twilio::address::masked),
            received_at: record.received_at,
            backfilled: record.backfilled,
            turn: record.turn_id,
            outcome: record.outcome,
            reason: record.outcome_reason,
        }
    };
    Ok(Json(MessageList { messages: records.into_iter().map(view).collect() }))
}
