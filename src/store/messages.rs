//! `channel_messages`: what people wrote. Each is taken in once (`arrivals.rs`) and ends in exactly one outcome.
//!
//! An accepted message becomes an entry of its thread by the triggers `channel_note_message` and `channel_note_accepted`
//! (`migrations/functions.sql`).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{AddressId, ConversationId, MessageId, TurnId};
use crate::text_enum::text_enum;

/// A stored message.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// Twilio's id.
    pub sid: String,
    /// Who wrote it.
    pub address_id: AddressId,
    /// The thread it belongs to, once its writer is known to be a user.
    pub conversation_id: Option<ConversationId>,
    /// Its text.
    pub body: String,
    /// Everything that Twilio sent.
    pub params: serde_json::Value,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// When the person wrote it, as far as Twilio tells.
    pub written_at: DateTime<Utc>,
    /// The limits have let it through.
    pub admitted_at: Option<DateTime<Utc>>,
    /// Whether the agent shall see it, and since when.
    pub accepted_at: Option<DateTime<Utc>>,
    /// The turn that has it.
    pub turn_id: Option<TurnId>,
    /// How it ended.
    pub outcome: Option<MessageOutcome>,
    /// Its webhook never came; Twilio's list had it.
    pub backfilled: bool,
    /// When its outcome `failed` gave way to another try by hand.
    pub retried_at: Option<DateTime<Utc>>,
}

/// Whether a message is stored, by Twilio's id.
pub async fn exists(conn: &mut PgConnection, sid: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM channel_messages WHERE sid = $1)")
        .bind(sid)
        .fetch_one(conn)
        .await
}

/// Which of these messages are stored, by Twilio's ids.
pub async fn known(conn: &mut PgConnection, sids: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT sid FROM channel_messages WHERE sid = ANY ($1)")
        .bind(sids)
        .fetch_all(conn)
        .await
}

/// A message by its number.
pub async fn get(conn: &mut PgConnection, id: MessageId) -> sqlx::Result<Option<Message>> {
    sqlx::query_as(
        "SELECT id, sid, address_id, conversation_id, body, params, received_at, written_at, admitted_at, accepted_at, turn_id, outcome, backfilled, retried_at FROM channel_messages WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// The limits let a message through; it is not counted again.
pub async fn admit(conn: &mut PgConnection, id: MessageId) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_messages SET admitted_at = clock_timestamp() WHERE id = $1 AND admitted_at IS NULL",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks a message for the agent, in this conversation. False: it is marked already, or has ended.
pub async fn mark_for_agent(
    conn: &mut PgConnection,
    id: MessageId,
    conversation_id: ConversationId,
) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE channel_messages SET accepted_at = clock_timestamp(), conversation_id = $2 WHERE id = $1 AND accepted_at IS NULL AND outcome IS NULL")
        .bind(id)
        .bind(conversation_id)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

text_enum! {
    /// How a message ends.
    pub enum MessageOutcome in ["channel_messages.outcome"] {
        /// The agent answered it.
        Answered = "answered",
        /// The agent chose to say nothing.
        Silent = "silent",
        /// The agent, or what leads to it, failed for good.
        Failed = "failed",
        /// The agent did not see it: STOP, START or HELP.
        Keyword = "keyword",
        /// It held a claim token.
        Claim = "claim",
        /// It was about the browser session.
        Browser = "browser",
        /// It asked for a person.
        Human = "human",
        /// Its writer is no user.
        NotLinked = "not_linked",
        /// The assistant may not talk to people of the writer's country.
        Country = "country",
        /// The user's plan has no WhatsApp.
        Plan = "plan",
        /// The user's assistant is paused.
        Paused = "paused",
        /// The operator has closed the channel.
        Disabled = "disabled",
        /// There were too many.
        RateLimited = "rate_limited",
        /// It must not reach the agent.
        Moderated = "moderated",
        /// It reached us too late to be answered.
        Late = "late",
        /// Its user was erased before it was answered.
        Erased = "erased",
    }
}

text_enum! {
    /// Where something is written, and answered.
    pub enum ChannelName in ["channel_messages.channel", "channel_turns.channel"] {
        /// On the phone.
        Whatsapp = "whatsapp",
        /// In the dashboard.
        Dashboard = "dashboard",
    }
}

/// Ends a message that the agent does not see. False: it has ended before, or the agent shall see it.
pub async fn end(
    conn: &mut PgConnection,
    id: MessageId,
    outcome: MessageOutcome,
    reason: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_messages SET outcome = $2, outcome_reason = $3, outcome_at = clock_timestamp() WHERE id = $1 AND outcome IS NULL AND accepted_at IS NULL",
    )
    .bind(id)
    .bind(outcome)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Something that a person said in a thread, wherever they wrote it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Said {
    /// Its number.
    pub id: MessageId,
    /// Twilio's id.
    pub sid: String,
    /// The phone; `None`: it was written in the dashboard.
    pub address_id: Option<AddressId>,
    /// Its text.
    pub body: String,
    /// Everything that Twilio sent.
    pub params: serde_json::Value,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// When the person wrote it, as far as Twilio tells.
    pub written_at: DateTime<Utc>,
}

/// The text of a message, by its id.
pub async fn body_of(conn: &mut PgConnection, sid: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT body FROM channel_messages WHERE sid = $1")
        .bind(sid)
        .fetch_optional(conn)
        .await
}

/// The accepted messages of a conversation that no turn has, in order. The caller holds the conversation's lock.
pub async fn unanswered(conn: &mut PgConnection, conversation_id: ConversationId) -> sqlx::Result<Vec<Said>> {
    sqlx::query_as(
        "SELECT id, sid, address_id, body, params, received_at, written_at FROM channel_messages
         WHERE conversation_id = $1 AND turn_id IS NULL AND outcome IS NULL AND accepted_at IS NOT NULL ORDER BY id",
    )
    .bind(conversation_id)
    .fetch_all(conn)
    .await
}

/// The messages of a turn, in order.
pub async fn of_turn(conn: &mut PgConnection, turn_id: TurnId) -> sqlx::Result<Vec<Said>> {
    sqlx::query_as(
        "SELECT id, sid, address_id, body, params, received_at, written_at FROM channel_messages WHERE turn_id = $1 ORDER BY id",
    )
    .bind(turn_id)
    .fetch_all(conn)
    .await
}

/// The turn that has a message.
pub async fn turn_of(conn: &mut PgConnection, id: MessageId) -> sqlx::Result<Option<TurnId>> {
    let turn: Option<Option<TurnId>> =
        sqlx::query_scalar("SELECT turn_id FROM channel_messages WHERE id = $1")
            .bind(id)
            .fetch_optional(conn)
            .await?;
    Ok(turn.flatten())
}

/// Ends a message that no turn will ever have. False: one has it, or it has an outcome.
pub async fn fail_unanswered(conn: &mut PgConnection, id: MessageId, reason: &str) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_messages SET outcome = 'failed', outcome_reason = $2, outcome_at = clock_timestamp() WHERE id = $1 AND outcome IS NULL AND turn_id IS NULL",
    )
    .bind(id)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
