//! `channel_messages`: what people wrote. Each is taken in once and ends in exactly one outcome.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A message as it comes from a verified webhook.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// Twilio's id.
    pub sid: &'a str,
    /// Who wrote it.
    pub address_id: i64,
    /// The thread it belongs to.
    pub conversation_id: i64,
    /// Its text; empty for media and locations.
    pub body: &'a str,
    /// Every parameter that Twilio sent.
    pub params: &'a serde_json::Value,
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Message {
    /// Its number.
    pub id: i64,
    /// Twilio's id.
    pub sid: String,
    /// Who wrote it.
    pub address_id: i64,
    /// The thread it belongs to.
    pub conversation_id: i64,
    /// Its text.
    pub body: String,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// Whether the agent shall see it, and since when.
    pub accepted_at: Option<DateTime<Utc>>,
    /// The turn that has it.
    pub turn_id: Option<i64>,
    /// How it ended.
    pub outcome: Option<String>,
}

/// Whether a message was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// Its number.
    New(i64),
    /// It was taken in before; nothing changed.
    Duplicate,
}

/// Stores a message unless it is known.
pub async fn insert(conn: &mut PgConnection, message: NewMessage<'_>) -> sqlx::Result<Inserted> {
    let id = sqlx::query_scalar(
        "INSERT INTO channel_messages (sid, address_id, conversation_id, body, params) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (sid) DO NOTHING RETURNING id",
    )
    .bind(message.sid)
    .bind(message.address_id)
    .bind(message.conversation_id)
    .bind(message.body)
    .bind(message.params)
    .fetch_optional(conn)
    .await?;
    Ok(id.map_or(Inserted::Duplicate, Inserted::New))
}

/// Whether a message is stored, by Twilio's id.
pub async fn exists(conn: &mut PgConnection, sid: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM channel_messages WHERE sid = $1)")
        .bind(sid)
        .fetch_one(conn)
        .await
}

/// A message by its number.
pub async fn get(conn: &mut PgConnection, id: i64) -> sqlx::Result<Option<Message>> {
    sqlx::query_as(
        "SELECT id, sid, address_id, conversation_id, body, received_at, accepted_at, turn_id, outcome FROM channel_messages WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Marks a message for the agent. False: it is marked already, or has ended.
pub async fn accept(conn: &mut PgConnection, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE channel_messages SET accepted_at = clock_timestamp() WHERE id = $1 AND accepted_at IS NULL AND outcome IS NULL")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The accepted messages of a conversation that no turn has, in order. The caller holds the conversation's lock.
pub async fn unanswered(conn: &mut PgConnection, conversation_id: i64) -> sqlx::Result<Vec<Message>> {
    sqlx::query_as(
        "SELECT id, sid, address_id, conversation_id, body, received_at, accepted_at, turn_id, outcome FROM channel_messages
         WHERE conversation_id = $1 AND turn_id IS NULL AND outcome IS NULL AND accepted_at IS NOT NULL ORDER BY id",
    )
    .bind(conversation_id)
    .fetch_all(conn)
    .await
}

/// The messages of a turn, in order.
pub async fn of_turn(conn: &mut PgConnection, turn_id: i64) -> sqlx::Result<Vec<Message>> {
    sqlx::query_as(
        "SELECT id, sid, address_id, conversation_id, body, received_at, accepted_at, turn_id, outcome FROM channel_messages
         WHERE turn_id = $1 ORDER BY id",
    )
    .bind(turn_id)
    .fetch_all(conn)
    .await
}

/// Ends a message that no turn will ever have. False: one has it, or it has an outcome.
pub async fn fail_unanswered(conn: &mut PgConnection, id: i64, reason: &str) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_messages SET outcome = 'failed', outcome_reason = $2, outcome_at = clock_timestamp() WHERE id = $1 AND outcome IS NULL AND turn_id IS NULL",
    )
    .bind(id)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
