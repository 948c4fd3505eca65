//! `channel_messages` that were written in the dashboard. They belong to a conversation from the beginning.

use sqlx::PgConnection;

use crate::ids::{ConversationId, MessageId};
use crate::messages::MessageOutcome;

/// Stores what was written in the dashboard, for the agent, or with its outcome if it is for the channel itself. `None`: it was stored before, under the
/// same key. The caller holds the conversation's lock.
pub async fn insert(
    conn: &mut PgConnection,
    key: &str,
    conversation_id: ConversationId,
    body: &str,
    outcome: Option<MessageOutcome>,
) -> sqlx::Result<Option<MessageId>> {
    sqlx::query_scalar(
        "INSERT INTO channel_messages (sid, channel, conversation_id, body, params, accepted_at, outcome, outcome_at)
         VALUES ($1, 'dashboard', $2, $3, '{}', clock_timestamp(), $4, CASE WHEN $4::TEXT IS NOT NULL THEN clock_timestamp() END)
         ON CONFLICT (sid) DO NOTHING RETURNING id",
    )
    .bind(key)
    .bind(conversation_id)
    .bind(body)
    .bind(outcome)
    .fetch_optional(conn)
    .await
}

/// Answers a message in its thread without the agent: by a turn that has ended. Its outcome becomes this one. The caller holds the conversation's lock.
pub async fn answer(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    id: MessageId,
    outcome: MessageOutcome,
    text: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "WITH said AS (
             INSERT INTO channel_turns (conversation_id, channel, state, agent, reply, finished_at)
             VALUES ($1, 'dashboard', 'replied', 'channel', $4, clock_timestamp()) RETURNING id)
         UPDATE channel_messages m SET turn_id = said.id, outcome = $3, outcome_reason = $4, outcome_at = clock_timestamp()
         FROM said WHERE m.id = $2",
    )
    .bind(conversation_id)
    .bind(id)
    .bind(outcome)
    .bind(text)
    .execute(conn)
    .await?;
    Ok(())
}
