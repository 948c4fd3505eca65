//! `channel_takeovers`: conversations in which a person of the operator's answers instead of the agent, and `channel_answers_by_hand`: what was answered.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

use crate::ids::{ConversationId, MessageId, TurnId, UserId};
use crate::messages::{ChannelName, Said};
use crate::turns::Turn;

/// The agent of a turn that a person of the operator's has written.
pub const BY_HAND: &str = "person";

/// A conversation that somebody has taken over.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Takeover {
    /// Whose conversation.
    pub user_id: UserId,
    /// Which administrator has it.
    pub begun_by: String,
    /// Since when.
    pub begun_at: DateTime<Utc>,
    /// The agent answers again from then on.
    pub ends_at: DateTime<Utc>,
    /// Messages that nobody has answered.
    pub waiting: i64,
    /// When the first of them came.
    pub waiting_since: Option<DateTime<Utc>>,
}

/// Takes a conversation over for so long. False: somebody has it already. The caller holds the conversation's lock.
pub async fn begin(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    by: &str,
    lasts: Duration,
) -> sqlx::Result<bool> {
    let begun = sqlx::query(
        "INSERT INTO channel_takeovers (conversation_id, begun_by, ends_at) VALUES ($1, $2, clock_timestamp() + $3)
         ON CONFLICT (conversation_id) DO NOTHING",
    )
    .bind(conversation_id)
    .bind(by)
    .bind(interval(lasts))
    .execute(conn)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Puts the end of a takeover off: it lasts so long from now on. False: nobody has the conversation.
pub async fn prolong(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    lasts: Duration,
) -> sqlx::Result<bool> {
    let prolonged = sqlx::query(
        "UPDATE channel_takeovers SET ends_at = clock_timestamp() + $2 WHERE conversation_id = $1",
    )
    .bind(conversation_id)
    .bind(interval(lasts))
    .execute(conn)
    .await?;
    Ok(prolonged.rows_affected() == 1)
}

/// Ends a takeover. False: nobody has the conversation. The caller holds the conversation's lock.
pub async fn end(conn: &mut PgConnection, conversation_id: ConversationId) -> sqlx::Result<bool> {
    let ended = sqlx::query("DELETE FROM channel_takeovers WHERE conversation_id = $1")
        .bind(conversation_id)
        .execute(conn)
        .await?;
    Ok(ended.rows_affected() == 1)
}

/// Whether somebody has a conversation now. The caller holds its lock.
pub async fn lasts(conn: &mut PgConnection, conversation_id: ConversationId) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM channel_takeovers WHERE conversation_id = $1 AND ends_at > clock_timestamp())")
        .bind(conversation_id)
        .fetch_one(conn)
        .await
}

/// Conversations whose takeover has lasted its time, a hundred at most.
pub async fn over(conn: &mut PgConnection) -> sqlx::Result<Vec<ConversationId>> {
    sqlx::query_scalar(
        "SELECT conversation_id FROM channel_takeovers WHERE ends_at <= clock_timestamp() ORDER BY ends_at LIMIT 100",
    )
    .fetch_all(conn)
    .await
}

/// Takeovers that last, of one user or of all, the one that ends first at the head; two hundred at most.
pub async fn list(conn: &mut PgConnection, user_id: Option<&UserId>) -> sqlx::Result<Vec<Takeover>> {
    sqlx::query_as(
        "SELECT c.user_id, t.begun_by, t.begun_at, t.ends_at, left_over.waiting, left_over.waiting_since
         FROM channel_takeovers t JOIN channel_conversations c ON c.id = t.conversation_id
         CROSS JOIN LATERAL (
             SELECT count(*) AS waiting, min(m.received_at) AS waiting_since FROM channel_messages m
             WHERE m.conversation_id = t.conversation_id AND m.turn_id IS NULL AND m.outcome IS NULL AND m.accepted_at IS NOT NULL) AS left_over
         WHERE t.ends_at > clock_timestamp() AND c.user_id IS NOT NULL AND ($1::TEXT IS NULL OR c.user_id = $1)
         ORDER BY t.ends_at LIMIT 200",
    )
    .bind(user_id)
    .fetch_all(conn)
    .await
}

/// The last message of a conversation that the agent was meant to see.
pub async fn last_said(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
) -> sqlx::Result<Option<Said>> {
    sqlx::query_as(
        "SELECT id, sid, address_id, body, params, received_at, written_at FROM channel_messages
         WHERE conversation_id = $1 AND accepted_at IS NOT NULL ORDER BY id DESC LIMIT 1",
    )
    .bind(conversation_id)
    .fetch_optional(conn)
    .await
}

/// What came of a request with this key.
pub async fn answered(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    key: &str,
) -> sqlx::Result<Option<TurnId>> {
    sqlx::query_scalar("SELECT turn_id FROM channel_answers_by_hand WHERE conversation_id = $1 AND key = $2")
        .bind(conversation_id)
        .bind(key)
        .fetch_optional(conn)
        .await
}

/// Stores an answer by hand to these messages, which may be none, as a turn that has ended. The caller holds the conversation's lock.
pub async fn answer(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    channel: ChannelName,
    key: &str,
    text: &str,
    message_ids: &[MessageId],
) -> sqlx::Result<Turn> {
    let turn: Turn = sqlx::query_as(
        "INSERT INTO channel_turns (conversation_id, channel, state, calls, agent, reply, finished_at)
         VALUES ($1, $2, 'replied', 0, $3, $4, clock_timestamp())
         RETURNING id, conversation_id, state, calls, ask_again_at, told_at, channel, started_at, slot_id, retry_of",
    )
    .bind(conversation_id)
    .bind(channel)
    .bind(BY_HAND)
    .bind(text)
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query("DELETE FROM channel_answers_by_hand WHERE (conversation_id, key) IN (SELECT conversation_id, key FROM channel_answers_by_hand WHERE answered_at < now() - interval '1 day' ORDER BY answered_at LIMIT 100 FOR UPDATE SKIP LOCKED)")
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO channel_answers_by_hand (conversation_id, key, turn_id) VALUES ($1, $2, $3)")
        .bind(conversation_id)
        .bind(key)
        .bind(turn.id)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        // The expression keeps Postgres from the index of unanswered messages, as where the agent's turns begin.
        "UPDATE channel_messages SET turn_id = $1, outcome = 'answered', outcome_at = clock_timestamp()
         WHERE id = ANY ($2) AND coalesce(turn_id, 0) = 0 AND outcome IS NULL",
    )
    .bind(turn.id)
    .bind(message_ids)
    .execute(conn)
    .await?;
    Ok(turn)
}

/// What was said by hand, and to what.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SaidByHand {
    /// What the person had written; `None`: nothing.
    pub asked: Option<String>,
    /// What was answered.
    pub answered: String,
}

/// What was said by hand between the agent's last answer and this turn, in order; the last twenty, and a thousand characters of each text.
pub async fn unknown_to_agent(conn: &mut PgConnection, turn: &Turn) -> sqlx::Result<Vec<SaidByHand>> {
    sqlx::query_as(
        "SELECT asked, answered FROM (
             SELECT t.id, left(t.reply, 1000) AS answered,
                    (SELECT left(string_agg(m.body, E'\\n' ORDER BY m.id), 1000) FROM channel_messages m WHERE m.turn_id = t.id) AS asked
             FROM channel_turns t
             WHERE t.conversation_id = $1 AND t.id < $2 AND t.agent = 'person' AND t.id > coalesce((
                 SELECT o.id FROM channel_turns o
                 WHERE o.conversation_id = $1 AND o.id < $2 AND o.agent <> 'person' AND o.state = 'replied' AND o.calls > 0 ORDER BY o.id DESC LIMIT 1), 0)
             ORDER BY t.id DESC LIMIT 20) AS latest
         ORDER BY id",
    )
    .bind(turn.conversation_id)
    .bind(turn.id)
    .fetch_all(conn)
    .await
}

fn interval(lasts: Duration) -> PgInterval {
    let microseconds = i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}
