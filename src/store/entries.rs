//! `channel_entries`: a conversation as its user sees it, whatever channel was used. Triggers on messages and turns write it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::deliveries::DeliveryState;
use crate::ids::{ConversationId, DeliveryId, ScheduleName, UserId};
use crate::messages::ChannelName;
use crate::turns::Turn;

/// Something that was said.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ThreadEntry {
    /// From 1, in the order in which the entries came about.
    pub number: i64,
    /// A person wrote it; else the assistant said it.
    pub by_person: bool,
    /// Where it was written, or where the answer went.
    pub channel: ChannelName,
    /// The words; of a turn that failed there are none.
    pub text: Option<String>,
    /// Everything that Twilio sent with what a person wrote.
    pub params: Option<serde_json::Value>,
    /// The schedule that made the assistant speak.
    pub schedule: Option<ScheduleName>,
    /// The delivery that carries it to the person's phone; `None`: nothing does.
    pub delivery_id: Option<DeliveryId>,
    /// Where that delivery stands.
    pub delivery_state: Option<DeliveryState>,
    /// Why it ended other than well.
    pub delivery_reason: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Where the delivery of an entry stands.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct EntryDelivery {
    /// The entry's number.
    pub number: i64,
    /// The delivery that carries it.
    pub id: DeliveryId,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it ended other than well.
    pub reason: Option<String>,
}

/// Something that was said before a turn.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct PastEntry {
    /// A person wrote it; else the assistant said it.
    pub by_person: bool,
    /// The words, or their beginning.
    pub text: String,
    /// Everything that Twilio sent with what a person wrote.
    pub params: Option<serde_json::Value>,
}

/// What was said in a user's conversation behind this number, in order. The page is limited before the joins, and the
/// conversation is a subquery: otherwise Postgres reads and sorts the rest of the thread for each page.
pub async fn after(
    conn: &mut PgConnection,
    user_id: &UserId,
    number: i64,
    limit: i64,
) -> sqlx::Result<Vec<ThreadEntry>> {
    sqlx::query_as(
        "SELECT e.number, e.message_id IS NOT NULL AS by_person, coalesce(m.channel, t.channel) AS channel, coalesce(m.body, t.reply) AS text, m.params, s.schedule,
                d.id AS delivery_id, d.state AS delivery_state, d.reason AS delivery_reason, e.at
         FROM (SELECT number, message_id, turn_id, at FROM channel_entries
               WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $1) AND number > $2 ORDER BY number LIMIT $3) e
         LEFT JOIN channel_messages m ON m.id = e.message_id LEFT JOIN channel_turns t ON t.id = e.turn_id LEFT JOIN channel_slots s ON s.id = t.slot_id
         LEFT JOIN channel_deliveries d ON d.id = coalesce(
             (SELECT r.id FROM channel_deliveries r WHERE r.turn_id = t.id),
             (SELECT u.delivery_id FROM channel_slot_users u WHERE u.slot_id = t.slot_id AND u.user_id = $1))
         ORDER BY e.number",
    )
    .bind(user_id)
    .bind(number)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Where the deliveries of the last entries up to this number stand, in order. Numbers have no gaps.
pub async fn deliveries_until(
    conn: &mut PgConnection,
    user_id: &UserId,
    number: i64,
    limit: i64,
) -> sqlx::Result<Vec<EntryDelivery>> {
    sqlx::query_as(
        "SELECT e.number, d.id, d.state, d.reason
         FROM (SELECT number, turn_id FROM channel_entries
               WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $1) AND number <= $2 AND number > $2 - $3) e
         JOIN channel_turns t ON t.id = e.turn_id
         JOIN channel_deliveries d ON d.id = coalesce(
             (SELECT r.id FROM channel_deliveries r WHERE r.turn_id = t.id),
             (SELECT u.delivery_id FROM channel_slot_users u WHERE u.slot_id = t.slot_id AND u.user_id = $1))
         ORDER BY e.number",
    )
    .bind(user_id)
    .bind(number)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// The number of the entry of a message, if it is among the last thousand of its conversation.
pub async fn number_of(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    sid: &str,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "SELECT number FROM channel_entries
         WHERE conversation_id = $1 AND number > (SELECT entries - 1000 FROM channel_conversations WHERE id = $1)
           AND message_id = (SELECT id FROM channel_messages WHERE sid = $2 AND conversation_id = $1)",
    )
    .bind(conversation_id)
    .bind(sid)
    .fetch_optional(conn)
    .await
}

/// What was said in a conversation before a turn, the newest first: answers, a schedule's words, and what people wrote. The turn's own messages
/// are left out, and so are those that wait for a later one; an apology has no text. Of a text no more than `text_chars` are
/// read. A conversation whose user was erased has no past.
pub async fn before_turn(
    conn: &mut PgConnection,
    turn: &Turn,
    limit: i64,
    text_chars: i32,
) -> sqlx::Result<Vec<PastEntry>> {
    sqlx::query_as(
        // A subquery for each row, so that Postgres reads the thread from its end and stops at the limit.
        "SELECT e.message_id IS NOT NULL AS by_person, left(coalesce(m.body, t.reply), $4) AS text, m.params
         FROM (SELECT number, message_id, turn_id FROM channel_entries
               WHERE conversation_id = (SELECT id FROM channel_conversations WHERE id = $1 AND user_id IS NOT NULL)
                 AND coalesce((SELECT coalesce(m.turn_id <> $2, m.outcome IS NOT NULL) FROM channel_messages m WHERE m.id = message_id),
                              (SELECT t.reply IS NOT NULL FROM channel_turns t WHERE t.id = channel_entries.turn_id))
               ORDER BY number DESC LIMIT $3) e
         LEFT JOIN channel_messages m ON m.id = e.message_id LEFT JOIN channel_turns t ON t.id = e.turn_id
         ORDER BY e.number DESC",
    )
    .bind(turn.conversation_id)
    .bind(turn.id)
    .bind(limit)
    .bind(text_chars)
    .fetch_all(conn)
    .await
}

/// The texts of messages of a conversation, people's and ours, by Twilio's ids.
pub async fn texts_of_sids(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    sids: &[&str],
) -> sqlx::Result<HashMap<String, String>> {
    let texts: Vec<(String, String)> = sqlx::query_as(
        "SELECT sid, body FROM channel_messages WHERE sid = ANY ($2) AND conversation_id = $1
         UNION ALL
         SELECT c.sid, c.body FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
         WHERE c.sid = ANY ($2) AND (d.conversation_id = $1 OR d.user_id = (SELECT user_id FROM channel_conversations WHERE id = $1))",
    )
    .bind(conversation_id)
    .bind(sids)
    .fetch_all(conn)
    .await?;
    Ok(texts.into_iter().collect())
}

/// The number of the last entry of each of these users' conversations. Who is no user any more, or has moved to another cell, is left out.
pub async fn lengths(conn: &mut PgConnection, user_ids: &[UserId]) -> sqlx::Result<Vec<(UserId, i64)>> {
    sqlx::query_as(
        "SELECT u.id, coalesce((SELECT c.entries FROM channel_conversations c WHERE c.user_id = u.id), 0) FROM channel_users u
         WHERE u.id = ANY ($1) AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = u.id)",
    )
        .bind(user_ids)
        .fetch_all(conn)
        .await
}
