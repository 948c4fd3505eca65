//! What left, and what did not: deliveries with their parts, for an administrator.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::chunks::{ChunkForm, ChunkState};
use store::deliveries::{DeliveryState, Purpose};
use store::delivery_records::{self, CallbackRecord, ChunkRecord, DeliveryRecord, SendAttemptRecord};
use store::delivery_search::{self, DeliveryPage, DeliverySearch};
use store::ids::{ChunkId, DeliveryId, MessageId, ScheduleName, TurnId, UserId};
use store::in_doubt::AdminVerdict;
use store::send_attempts::SendOutcome;
use store::text_enum::{TextEnum as _, UnknownText};
use twilio::explanations::{Explanation, explain};
use utoipa::ToSchema;

use super::people::{self, UnknownPerson};

/// States of deliveries that were to be sent and did not reach the person: what one filter finds.
pub const UNDELIVERED: [DeliveryState; 3] =
    [DeliveryState::Failed, DeliveryState::Expired, DeliveryState::Unknown];

/// The word for all of them.
pub const UNDELIVERED_TEXT: &str = "undelivered";

/// Which deliveries; what is `None` or empty does not narrow.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Of this user.
    pub user: Option<UserId>,
    /// To this number, in any spelling.
    pub number: Option<String>,
    /// In one of these states.
    pub states: Vec<DeliveryState>,
    /// The reason begins like this.
    pub reason: Option<String>,
    /// Sent for this.
    pub purpose: Option<Purpose>,
    /// A part of it has this code of Twilio's.
    pub error_code: Option<i32>,
    /// Planned at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Planned before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Older than this one.
    pub before: Option<DeliveryId>,
}

impl DeliveryFilter {
    /// Whether it names some deliveries among all.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        let Self { user, number, states, reason, purpose, error_code, since, until, before: _ } = self;
        let is_person = user.is_some() || number.is_some();
        let is_end = !states.is_empty() || reason.is_some() || error_code.is_some();
        is_person || is_end || purpose.is_some() || since.is_some() || until.is_some()
    }
}

/// The words of a filter by state, each with what it means.
pub fn state_words() -> impl Iterator<Item = (&'static str, &'static str)> {
    let undelivered = (UNDELIVERED_TEXT, "Failed, expired or unknown.");
    std::iter::once(undelivered).chain(DeliveryState::MEANINGS.iter().copied())
}

/// The states that a word of a filter means.
pub fn states(word: &str) -> Result<Vec<DeliveryState>, UnknownStates> {
    if word == UNDELIVERED_TEXT {
        return Ok(UNDELIVERED.to_vec());
    }
    Ok(vec![word.parse::<DeliveryState>()?])
}

/// A word that means no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, {UNDELIVERED_TEXT}")]
pub struct UnknownStates(#[from] UnknownText);

/// A page of deliveries, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryList {
    /// What fits.
    pub deliveries: Vec<OutboundView>,
    /// `before` of the next page; null: there is none. Where it is set beside fewer deliveries than were asked for, the newest 5,000 have no more that
    /// fit, and older ones were not looked at.
    #[schema(value_type = Option<Uuid>)]
    pub next: Option<DeliveryId>,
}

/// A delivery: what was to be said to a person at once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Outbound)]
pub struct OutboundView {
    #[schema(value_type = Uuid)]
    pub id: DeliveryId,
    /// Whose; null: nobody's, or the user was erased.
    #[schema(value_type = Option<String>)]
    pub user: Option<UserId>,
    /// To which number, without its middle; null: there is none any more.
    pub to: Option<String>,
    /// Why it is sent.
    pub purpose: Purpose,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it ended other than well.
    pub reason: Option<String>,
    /// The turn that it answers.
    #[schema(value_type = Option<i64>)]
    pub turn: Option<TurnId>,
    /// The message that it is a notice about.
    #[schema(value_type = Option<i64>)]
    pub message: Option<MessageId>,
    /// The schedule that spoke.
    #[schema(value_type = Option<String>)]
    pub schedule: Option<ScheduleName>,
    /// The delivery whose failed part, and what came behind it, this one sends anew.
    #[schema(value_type = Option<Uuid>)]
    pub resent_from: Option<DeliveryId>,
    /// The delivery that sends anew what this one did not.
    #[schema(value_type = Option<Uuid>)]
    pub resent_as: Option<DeliveryId>,
    /// It waits for the person's next message.
    pub waits_for_inbound: bool,
    /// The end of quiet hours that it waits for, or has waited for.
    pub waits_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// When nothing was left to send.
    pub closed_at: Option<DateTime<Utc>>,
    /// Its parts, in order; each is a message of Twilio's.
    pub chunks: Vec<OutboundChunkView>,
}

/// A part of a delivery: a message of Twilio's.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OutboundChunk)]
pub struct OutboundChunkView {
    #[schema(value_type = i64)]
    pub id: ChunkId,
    /// Its place, from 0.
    pub index: i32,
    /// What Twilio is given.
    pub form: ChunkForm,
    /// Where it stands.
    pub state: ChunkState,
    /// What an administrator said of it while it was in doubt.
    pub verdict: Option<AdminVerdict>,
    /// Counts against the allowance.
    pub meter_proactive: bool,
    /// Carries the footer.
    pub proactive: bool,
    /// Twilio's id.
    pub sid: Option<String>,
    /// How often it was handed to Twilio.
    pub attempts: i32,
    /// When it is its turn, at the sender's pace.
    pub send_at: Option<DateTime<Utc>>,
    /// When we learned that Twilio has it.
    pub accepted_at: Option<DateTime<Utc>>,
    /// When its state changed last.
    pub updated_at: DateTime<Utc>,
    /// Why it failed, waits or ended, in Twilio's or our own words.
    pub reason: Option<String>,
    /// Twilio's error; null: there is none.
    pub error: Option<TwilioErrorView>,
}

/// An error of Twilio's, in words.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TwilioError)]
pub struct TwilioErrorView {
    pub code: i32,
    /// What has happened.
    pub cause: &'static str,
    /// What helps.
    pub remedy: &'static str,
}

impl TwilioErrorView {
    /// A code in words.
    #[must_use]
    pub fn of(code: i32) -> Self {
        let Explanation { cause, remedy } = explain(code);
        Self { code, cause, remedy }
    }
}

impl From<ChunkRecord> for OutboundChunkView {
    fn from(record: ChunkRecord) -> Self {
        Self {
            id: record.id,
            index: record.index,
            form: record.form,
            state: record.state,
            verdict: record.verdict,
            meter_proactive: record.meter_proactive,
            proactive: record.has_footer,
            sid: record.sid,
            attempts: record.attempts,
            send_at: record.send_at,
            accepted_at: record.accepted_at,
            updated_at: record.updated_at,
            reason: record.error_message,
            error: record.error_code.map(TwilioErrorView::of),
        }
    }
}

impl OutboundView {
    fn of(record: DeliveryRecord, chunks: Vec<OutboundChunkView>) -> Self {
        Self {
            id: record.id,
            user: record.user_id,
            to: record.address.as_deref().map(twilio::address::masked),
            purpose: record.purpose,
            state: record.state,
            reason: record.reason,
            turn: record.turn_id,
            message: record.message_id,
            schedule: record.schedule,
            resent_from: record.resent_from,
            resent_as: record.resent_as,
            waits_for_inbound: record.waits_for_inbound,
            waits_until: record.waits_until,
            created_at: record.created_at,
            expires_at: record.expires_at,
            closed_at: record.closed_at,
            chunks,
        }
    }

    /// The first error of its parts.
    #[must_use]
    pub fn error(&self) -> Option<&TwilioErrorView> {
        self.chunks.iter().find_map(|chunk| chunk.error.as_ref())
    }
}

/// A delivery with each attempt to send a part, and what Twilio reported.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryDetail {
    #[serde(flatten)]
    pub delivery: OutboundView,
    /// The attempts to send its parts, in order.
    pub send_attempts: Vec<SendAttemptView>,
    /// What Twilio reported, in order of arrival.
    pub callbacks: Vec<CallbackView>,
}

/// An attempt to send a part.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SendAttempt)]
pub struct SendAttemptView {
    /// Of which part.
    #[schema(value_type = i64)]
    pub chunk: ChunkId,
    /// From 1.
    pub attempt: i32,
    pub started_at: DateTime<Utc>,
    /// The request was given up then.
    pub deadline_at: DateTime<Utc>,
    /// What it came to; null: it is under way, or its process died.
    pub outcome: Option<SendOutcome>,
    /// Twilio's id, if it was accepted.
    pub sid: Option<String>,
    /// Why nothing is known, or nothing was sent.
    pub reason: Option<String>,
    /// Twilio's error; null: there is none.
    pub error: Option<TwilioErrorView>,
    /// When a first list of Twilio's did not have it.
    pub first_miss_at: Option<DateTime<Utc>>,
}

impl From<SendAttemptRecord> for SendAttemptView {
    fn from(record: SendAttemptRecord) -> Self {
        Self {
            chunk: record.chunk_id,
            attempt: record.attempt,
            started_at: record.started_at,
            deadline_at: record.deadline_at,
            outcome: record.outcome,
            sid: record.sid,
            reason: record.error_message,
            error: record.error_code.map(TwilioErrorView::of),
            first_miss_at: record.first_miss_at,
        }
    }
}

/// What Twilio reported of a part.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatusCallback)]
pub struct CallbackView {
    /// Of which part.
    #[schema(value_type = i64)]
    pub chunk: ChunkId,
    /// Twilio's id of the message.
    pub sid: String,
    /// In Twilio's word.
    pub status: String,
    /// Twilio's error; null: there is none.
    pub error: Option<TwilioErrorView>,
    pub received_at: DateTime<Utc>,
}

impl From<CallbackRecord> for CallbackView {
    fn from(record: CallbackRecord) -> Self {
        Self {
            chunk: record.chunk_id,
            sid: record.sid,
            status: record.status,
            error: record.error_code.map(TwilioErrorView::of),
            received_at: record.received_at,
        }
    }
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The person is not to be found.
    #[error(transparent)]
    Person(#[from] UnknownPerson),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The newest deliveries that fit.
pub async fn list(
    conn: &mut PgConnection,
    filter: &DeliveryFilter,
    limit: i64,
) -> Result<DeliveryList, ListError> {
    let page = ids(conn, filter, limit).await?;
    Ok(DeliveryList { deliveries: views(conn, &page.ids).await?, next: page.next })
}

/// The newest that fit, by their ids alone.
pub(super) async fn ids(
    conn: &mut PgConnection,
    filter: &DeliveryFilter,
    limit: i64,
) -> Result<DeliveryPage, ListError> {
    let whose = people::whose_deliveries(conn, filter.user.as_ref(), filter.number.as_deref()).await?;
    let search = DeliverySearch {
        whose,
        states: filter.states.clone(),
        purpose: filter.purpose,
        reason: filter.reason.as_deref(),
        error_code: filter.error_code,
        since: filter.since,
        until: filter.until,
        before: filter.before,
        limit,
    };
    Ok(delivery_search::page(conn, &search).await?)
}

/// These deliveries, the newest first.
pub async fn views(conn: &mut PgConnection, ids: &[DeliveryId]) -> sqlx::Result<Vec<OutboundView>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let records = delivery_records::deliveries(conn, ids).await?;
    let mut chunks = delivery_records::chunks(conn, ids).await?;
    let view = |record: DeliveryRecord| {
        let own = chunks
            .extract_if(.., |chunk| chunk.delivery_id == record.id)
            .map(OutboundChunkView::from)
            .collect();
        OutboundView::of(record, own)
    };
    Ok(records.into_iter().map(view).collect())
}

/// A delivery with all that is known of it; `None`: there is none.
pub async fn show(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Option<DeliveryDetail>> {
    let Some(delivery) = views(conn, &[id]).await?.pop() else { return Ok(None) };
    let chunks: Vec<ChunkId> = delivery.chunks.iter().map(|chunk| chunk.id).collect();
    let attempts = delivery_records::attempts(conn, &chunks).await?;
    let callbacks = delivery_records::callbacks(conn, &chunks).await?;
    Ok(Some(DeliveryDetail {
        delivery,
        send_attempts: attempts.into_iter().map(SendAttemptView::from).collect(),
        callbacks: callbacks.into_iter().map(CallbackView::from).collect(),
    }))
}
