//! Successors of jobs that gave up, made by hand: a delivery for a failed chunk and the chunks behind it, a turn for
//! messages without an answer, a slot for the rest of an audience. Final rows stay as they are; each has at most one
//! successor.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::chunks::ChunkState;
use crate::ids::{AddressId, ChunkId, ConversationId, DeliveryId, MessageId, SlotId, TurnId, UserId};
use crate::messages::MessageOutcome;
use crate::slot_users::PartOutcome;
use crate::turns::TurnState;

/// A delivery of which a part was not sent.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct UnsentDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Whose allowance it takes; `None`: nobody's.
    pub user_id: Option<UserId>,
    /// What was to be said, with WhatsApp's signs; empty once it is erased or too old.
    pub text: String,
    /// The delivery that begins anew with the chunk that was asked for, if there is one.
    pub successor: Option<DeliveryId>,
}

/// The delivery of a chunk.
pub async fn delivery_of(conn: &mut PgConnection, chunk_id: ChunkId) -> sqlx::Result<UnsentDelivery> {
    sqlx::query_as(
        "SELECT d.id, d.user_id, d.text, s.id AS successor FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
         LEFT JOIN channel_deliveries s ON s.resent_from = c.id WHERE c.id = $1",
    )
    .bind(chunk_id)
    .fetch_one(conn)
    .await
}

/// A chunk of a delivery that was not sent as a whole.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct UnsentChunk {
    /// Its number.
    pub id: ChunkId,
    /// Where it stands.
    pub state: ChunkState,
    /// Twilio's id.
    pub sid: Option<String>,
    /// Why it was not sent.
    pub error_message: Option<String>,
    /// The first byte of the delivery's text that it covers.
    pub source_start: i32,
    /// The byte after the last one.
    pub source_end: i32,
    /// Counts against the allowance.
    pub meter_proactive: bool,
    /// Carries the footer.
    pub has_footer: bool,
}

/// A chunk and those behind it, in order. The caller holds the delivery's lock.
pub async fn parts_from(conn: &mut PgConnection, chunk_id: ChunkId) -> sqlx::Result<Vec<UnsentChunk>> {
    sqlx::query_as(
        "SELECT c.id, c.state, c.sid, c.error_message, c.source_start, c.source_end, c.meter_proactive, c.has_footer
         FROM channel_chunks f JOIN channel_chunks c ON c.delivery_id = f.delivery_id AND c.index >= f.index WHERE f.id = $1 ORDER BY c.index",
    )
    .bind(chunk_id)
    .fetch_all(conn)
    .await
}

/// The successor of a delivery that was not sent from this chunk on.
#[derive(Debug)]
pub struct Resent<'a> {
    /// Its own id, a new UUID v7.
    pub id: DeliveryId,
    /// The first chunk that was not sent.
    pub chunk_id: ChunkId,
    /// To whom; the caller holds the lock.
    pub address_id: AddressId,
    /// The text that its chunks cover.
    pub text: &'a str,
    /// The billing period in which its chunks are reserved; `None`: they are not metered.
    pub period_start: Option<DateTime<Utc>>,
}

/// Stores a successor with the texts of the chunk and of those behind it; it expires after the same time as their
/// delivery did. Returns the ids of its chunks, in order; empty: there is a successor already.
pub async fn resend(conn: &mut PgConnection, resent: &Resent<'_>) -> sqlx::Result<Vec<ChunkId>> {
    let made = sqlx::query(
        "INSERT INTO channel_deliveries (id, address_id, user_id, conversation_id, link_id, period_start, purpose, text, content_sid, content_variables,
                                         expires_at, resent_from)
         SELECT $1, $3, d.user_id, d.conversation_id, d.link_id, $5, d.purpose, $4, d.content_sid, d.content_variables,
                clock_timestamp() + (d.expires_at - d.created_at), c.id
         FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id WHERE c.id = $2
         ON CONFLICT (resent_from) WHERE resent_from IS NOT NULL DO NOTHING",
    )
    .bind(resent.id)
    .bind(resent.chunk_id)
    .bind(resent.address_id)
    .bind(resent.text)
    .bind(resent.period_start)
    .execute(&mut *conn)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(Vec::new());
    }
    let mut ids: Vec<ChunkId> = sqlx::query_scalar(
        "INSERT INTO channel_chunks (delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, form, metering)
         SELECT $1, c.index - f.index, c.body, c.source_start - f.source_start, c.source_end - f.source_start, c.meter_proactive, c.has_footer, c.form,
                CASE WHEN c.meter_proactive THEN 'reserved' END
         FROM channel_chunks f JOIN channel_chunks c ON c.delivery_id = f.delivery_id AND c.index >= f.index
         WHERE f.id = $2 ORDER BY c.index RETURNING id",
    )
    .bind(resent.id)
    .bind(resent.chunk_id)
    .fetch_all(conn)
    .await?;
    // Numbers are drawn in the order of the rows.
    ids.sort_unstable();
    Ok(ids)
}

/// A turn that failed in an outage of its agent.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct FailedTurn {
    /// Its number.
    pub id: TurnId,
    /// Its thread.
    pub conversation_id: ConversationId,
    /// Whose; `None`: the user was erased.
    pub user_id: Option<UserId>,
    /// When it failed.
    pub finished_at: DateTime<Utc>,
}

/// Turns that failed in outages after one of them and before a moment, in the order in which they did; those of a conversation are in its order.
pub async fn failed_in_outages(
    conn: &mut PgConnection,
    after: (DateTime<Utc>, TurnId),
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<FailedTurn>> {
    sqlx::query_as(
        "SELECT t.id, t.conversation_id, c.user_id, t.finished_at
         FROM (SELECT id, conversation_id, finished_at FROM channel_turns
               WHERE outage_id IS NOT NULL AND (finished_at, id) > ($1, $2) AND finished_at < $3 ORDER BY finished_at, id LIMIT $4) t
         JOIN channel_conversations c ON c.id = t.conversation_id ORDER BY t.finished_at, t.id",
    )
    .bind(after.0)
    .bind(after.1)
    .bind(before)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// A failed turn by its number; `None`: it has not failed, or there is none.
pub async fn failed_turn(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Option<FailedTurn>> {
    sqlx::query_as(
        "SELECT t.id, t.conversation_id, c.user_id, t.finished_at FROM channel_turns t JOIN channel_conversations c ON c.id = t.conversation_id
         WHERE t.id = $1 AND t.state = 'failed'",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// The turn that answers a failed one's messages once more.
pub async fn successor_of_turn(
    conn: &mut PgConnection,
    id: TurnId,
) -> sqlx::Result<Option<(TurnId, TurnState)>> {
    sqlx::query_as("SELECT id, state FROM channel_turns WHERE retry_of = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// The messages of a turn that were not answered, in order.
pub async fn unanswered_of_turn(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Vec<MessageId>> {
    sqlx::query_scalar(
        "SELECT id FROM channel_messages WHERE turn_id = $1 AND outcome = 'failed' ORDER BY id",
    )
    .bind(id)
    .fetch_all(conn)
    .await
}

/// What became of a message, and from which phone it can be answered.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct AskedMessage {
    /// The turn that has it.
    pub turn_id: Option<TurnId>,
    /// How it ended.
    pub outcome: Option<MessageOutcome>,
    /// The agent was to see it.
    pub was_accepted: bool,
    /// Its words are gone, as too old or erased.
    pub is_emptied: bool,
    /// When its outcome gave way to another try.
    pub retried_at: Option<DateTime<Utc>>,
    /// The phone that it, or else the last message of its turn, was written from; `None`: the dashboard.
    pub address_id: Option<AddressId>,
}

/// A message by its number.
pub async fn asked(conn: &mut PgConnection, message_id: MessageId) -> sqlx::Result<Option<AskedMessage>> {
    sqlx::query_as(
        "SELECT m.turn_id, m.outcome, m.accepted_at IS NOT NULL AS was_accepted, m.body = '' AND m.params = '{}' AS is_emptied, m.retried_at,
                coalesce((SELECT o.address_id FROM channel_messages o WHERE o.turn_id = m.turn_id AND o.address_id IS NOT NULL ORDER BY o.id DESC LIMIT 1),
                         m.address_id) AS address_id
         FROM channel_messages m WHERE m.id = $1",
    )
    .bind(message_id)
    .fetch_optional(conn)
    .await
}

/// Removes the outcome `failed` of a message without a turn, so that the message waits again. False: it has another
/// outcome, or none. The caller holds the lock of its address or conversation.
pub async fn reopen(conn: &mut PgConnection, message_id: MessageId) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_messages SET outcome = NULL, outcome_reason = NULL, outcome_at = NULL, retried_at = clock_timestamp()
         WHERE id = $1 AND outcome = 'failed' AND turn_id IS NULL",
    )
    .bind(message_id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The successor of a failed slot, if there is one, and whether the failed slot had dealt with its whole audience.
pub async fn rest_of_slot(conn: &mut PgConnection, slot_id: SlotId) -> sqlx::Result<(Option<SlotId>, bool)> {
    sqlx::query_as(
        "SELECT n.id, s.audience_done_at IS NOT NULL FROM channel_slots s LEFT JOIN channel_slots n ON n.retry_of = s.id WHERE s.id = $1",
    )
    .bind(slot_id)
    .fetch_one(conn)
    .await
}

/// Creates the successor of a failed slot, and moves the users to it whom the agent was never asked for. A schedule
/// has one slot per zone and moment, so the successor is a microsecond later. Returns its number and those users; `None`:
/// there is one already.
pub async fn continue_slot(
    conn: &mut PgConnection,
    slot_id: SlotId,
) -> sqlx::Result<Option<(SlotId, Vec<UserId>)>> {
    let new: Option<SlotId> = sqlx::query_scalar(
        "INSERT INTO channel_slots (schedule, zone, moment, local_time, definition, manual, is_test, state, last_user, retry_of)
         SELECT schedule, zone, moment + interval '1 microsecond', local_time, definition, manual, is_test, 'open', last_user, id FROM channel_slots WHERE id = $1 AND state = 'failed'
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(slot_id)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(new) = new else { return Ok(None) };
    // Whom the agent is at work for comes to an end by itself.
    let left: Vec<UserId> = sqlx::query_scalar(
        "UPDATE channel_slot_users u SET outcome = 'agent_failed', reason = 'its slot failed before the agent was asked'
         WHERE u.slot_id = $1 AND u.outcome = 'asked'
           AND NOT EXISTS (SELECT FROM channel_conversations c JOIN channel_turns t ON t.conversation_id = c.id
                           WHERE c.user_id = u.user_id AND t.slot_id = u.slot_id AND t.state = 'running')
         RETURNING u.user_id",
    )
    .bind(slot_id)
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query("INSERT INTO channel_slot_users (slot_id, user_id, outcome) SELECT $1, user_id, 'asked' FROM unnest($2::TEXT[]) AS left_over (user_id)")
        .bind(new)
        .bind(&left)
        .execute(conn)
        .await?;
    Ok(Some((new, left)))
}

/// What a user's part of a slot came to; `None`: the user was none of its audience.
pub async fn part_of(
    conn: &mut PgConnection,
    slot_id: SlotId,
    user_id: &UserId,
) -> sqlx::Result<Option<PartOutcome>> {
    sqlx::query_scalar("SELECT outcome FROM channel_slot_users WHERE slot_id = $1 AND user_id = $2")
        .bind(slot_id)
        .bind(user_id)
        .fetch_optional(conn)
        .await
}

/// Gives a user's part of a slot to the agent once more. False: the agent has not failed for this user.
pub async fn ask_again(conn: &mut PgConnection, slot_id: SlotId, user_id: &UserId) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_slot_users SET outcome = 'asked', reason = NULL, times_given = times_given + 1, runs = 0
         WHERE slot_id = $1 AND user_id = $2 AND outcome = 'agent_failed'",
    )
    .bind(slot_id)
    .bind(user_id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
