//! Deliveries for administrators: what was to be sent, each part, each attempt and what Twilio reported, without anybody's words.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;

use crate::chunks::{ChunkForm, ChunkState};
use crate::deliveries::{DeliveryState, Purpose};
use crate::ids::{AddressId, ChunkId, DeliveryId, MessageId, ScheduleName, TurnId, UserId};
use crate::in_doubt::AdminVerdict;
use crate::send_attempts::SendOutcome;

/// A delivery.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// Whose allowance it takes, or in whose conversation it was said; `None`: nobody's.
    pub user_id: Option<UserId>,
    /// The phone as it was last spelled; `None`: there is none, or it was erased.
    pub address: Option<String>,
    /// Why it is sent.
    pub purpose: Purpose,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it ended other than well.
    pub reason: Option<String>,
    /// The turn that it answers.
    pub turn_id: Option<TurnId>,
    /// The message that it is a notice about.
    pub message_id: Option<MessageId>,
    /// The schedule that spoke.
    pub schedule: Option<ScheduleName>,
    /// The delivery whose failed part, and what came behind it, this one sends anew.
    pub resent_from: Option<DeliveryId>,
    /// The delivery that sends anew what this one did not.
    pub resent_as: Option<DeliveryId>,
    /// It waits for the person's next message.
    pub waits_for_inbound: bool,
    /// The end of quiet hours that it waits for, or has waited for.
    pub waits_until: Option<DateTime<Utc>>,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// When it was planned.
    pub created_at: DateTime<Utc>,
    /// When nothing was left to send.
    pub closed_at: Option<DateTime<Utc>>,
}

/// These deliveries, the newest first.
pub async fn deliveries(conn: &mut PgConnection, ids: &[DeliveryId]) -> sqlx::Result<Vec<DeliveryRecord>> {
    sqlx::query_as(
        "SELECT d.id, coalesce(d.user_id, c.user_id) AS user_id,
                (SELECT a.alias FROM channel_address_aliases a WHERE a.address_id = d.address_id ORDER BY a.last_seen_at DESC LIMIT 1) AS address,
                d.purpose, d.state, d.reason, d.turn_id, d.message_id,
                (SELECT s.schedule FROM channel_turns t JOIN channel_slots s ON s.id = t.slot_id WHERE t.id = d.turn_id) AS schedule,
                (SELECT f.delivery_id FROM channel_chunks f WHERE f.id = d.resent_from) AS resent_from,
                (SELECT r.id FROM channel_chunks f JOIN channel_deliveries r ON r.resent_from = f.id WHERE f.delivery_id = d.id LIMIT 1) AS resent_as,
                d.waits_for_inbound, d.waits_until, d.expires_at, d.created_at, d.closed_at
         FROM channel_deliveries d LEFT JOIN channel_conversations c ON c.id = d.conversation_id
         WHERE d.id = ANY ($1) ORDER BY d.id DESC",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// The deliveries that answer these turns.
pub async fn of_turns(conn: &mut PgConnection, turns: &[TurnId]) -> sqlx::Result<Vec<(TurnId, DeliveryId)>> {
    sqlx::query_as("SELECT turn_id, id FROM channel_deliveries WHERE turn_id = ANY ($1)")
        .bind(turns)
        .fetch_all(conn)
        .await
}

/// The notices about these messages.
pub async fn of_messages(
    conn: &mut PgConnection,
    messages: &[MessageId],
) -> sqlx::Result<Vec<(MessageId, DeliveryId)>> {
    sqlx::query_as("SELECT message_id, id FROM channel_deliveries WHERE message_id = ANY ($1)")
        .bind(messages)
        .fetch_all(conn)
        .await
}

/// Those of these deliveries that nobody has sent anew.
pub async fn not_resent(conn: &mut PgConnection, ids: &[DeliveryId]) -> sqlx::Result<Vec<DeliveryId>> {
    sqlx::query_scalar(
        "SELECT id FROM unnest($1::UUID[]) AS given (id)
         WHERE NOT EXISTS (SELECT FROM channel_chunks f JOIN channel_deliveries r ON r.resent_from = f.id WHERE f.delivery_id = given.id)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// A part of a delivery.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ChunkRecord {
    /// Its number.
    pub id: ChunkId,
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// Its place, from 0.
    pub index: i32,
    /// What Twilio is given.
    pub form: ChunkForm,
    /// Where it stands.
    pub state: ChunkState,
    /// What an administrator said of it.
    pub verdict: Option<AdminVerdict>,
    /// Attempts to send it.
    pub attempts: i32,
    /// Its send time, given by the sender's pace.
    pub send_at: Option<DateTime<Utc>>,
    /// Twilio's id.
    pub sid: Option<String>,
    /// When we learned that Twilio has it.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Twilio's error.
    pub error_code: Option<i32>,
    /// Why it failed, waits or ended.
    pub error_message: Option<String>,
    /// Counts against the allowance.
    pub meter_proactive: bool,
    /// Carries the footer.
    pub has_footer: bool,
    /// When its state changed last.
    pub updated_at: DateTime<Utc>,
}

/// The parts of these deliveries, in order.
pub async fn chunks(conn: &mut PgConnection, ids: &[DeliveryId]) -> sqlx::Result<Vec<ChunkRecord>> {
    sqlx::query_as(
        "SELECT id, delivery_id, index, form, state, verdict, attempt AS attempts, send_at, sid, accepted_at, error_code, error_message, meter_proactive,
                has_footer, updated_at
         FROM channel_chunks WHERE delivery_id = ANY ($1) ORDER BY delivery_id DESC, index",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// These parts, those of the newest delivery first, in each from the last to the first.
pub async fn chunks_by_id(conn: &mut PgConnection, ids: &[ChunkId]) -> sqlx::Result<Vec<ChunkRecord>> {
    sqlx::query_as(
        "SELECT id, delivery_id, index, form, state, verdict, attempt AS attempts, send_at, sid, accepted_at, error_code, error_message, meter_proactive,
                has_footer, updated_at
         FROM channel_chunks WHERE id = ANY ($1) ORDER BY delivery_id DESC, index DESC",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// An attempt to send a chunk.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct SendAttemptRecord {
    /// Of which chunk.
    pub chunk_id: ChunkId,
    /// From 1.
    pub attempt: i32,
    /// Before the request.
    pub started_at: DateTime<Utc>,
    /// The request was given up then.
    pub deadline_at: DateTime<Utc>,
    /// What it came to; `None`: it is under way, or its process died.
    pub outcome: Option<SendOutcome>,
    /// Twilio's id, if it was accepted.
    pub sid: Option<String>,
    /// Twilio's error.
    pub error_code: Option<i32>,
    /// Why nothing is known, or nothing was sent.
    pub error_message: Option<String>,
    /// When a first list of Twilio's did not have it.
    pub first_miss_at: Option<DateTime<Utc>>,
    /// What was known of it in turn, once it was in doubt; empty: it was clear at once.
    #[sqlx(json)]
    pub history: Vec<Learned>,
}

/// What was learned of an attempt that was in doubt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Learned {
    /// When.
    pub at: DateTime<Utc>,
    /// That it came to this.
    pub outcome: Option<SendOutcome>,
    /// Why.
    pub reason: Option<String>,
    /// What an administrator said of it.
    pub verdict: Option<AdminVerdict>,
    /// Who that was.
    pub by: Option<String>,
}

/// The attempts to send these chunks, in order.
pub async fn attempts(conn: &mut PgConnection, ids: &[ChunkId]) -> sqlx::Result<Vec<SendAttemptRecord>> {
    sqlx::query_as(
        "SELECT chunk_id, attempt, started_at, deadline_at, outcome, sid, error_code, error_message, first_miss_at, coalesce(history, '[]') AS history
         FROM channel_send_attempts WHERE chunk_id = ANY ($1) ORDER BY chunk_id, attempt",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// What Twilio reported of a chunk.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct CallbackRecord {
    /// Of which chunk.
    pub chunk_id: ChunkId,
    /// Twilio's id of the message.
    pub sid: String,
    /// In Twilio's word.
    pub status: String,
    /// Twilio's error.
    pub error_code: Option<i32>,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
}

/// What Twilio reported of these chunks, in order of arrival.
pub async fn callbacks(conn: &mut PgConnection, ids: &[ChunkId]) -> sqlx::Result<Vec<CallbackRecord>> {
    sqlx::query_as(
        "SELECT chunk_id, sid, status, error_code, received_at FROM channel_status_callbacks WHERE chunk_id = ANY ($1) ORDER BY received_at, id",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// The chunk's delivery.
pub async fn of_chunk(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<Option<DeliveryId>> {
    sqlx::query_scalar("SELECT delivery_id FROM channel_chunks WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// The delivery that Twilio knows a part of by this SID.
pub async fn of_sid(conn: &mut PgConnection, sid: &str) -> sqlx::Result<Option<DeliveryId>> {
    sqlx::query_scalar("SELECT delivery_id FROM channel_chunks WHERE sid = $1")
        .bind(sid)
        .fetch_optional(conn)
        .await
}

/// To whom these deliveries go.
pub async fn people(
    conn: &mut PgConnection,
    ids: &[DeliveryId],
) -> sqlx::Result<Vec<(DeliveryId, AddressId)>> {
    sqlx::query_as(
        "SELECT id, address_id FROM channel_deliveries WHERE id = ANY ($1) AND address_id IS NOT NULL",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}
