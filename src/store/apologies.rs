//! Whether a person gets an apology for a turn that failed: one in an outage of the agent. The notes stand in `channel_turns`.

use sqlx::PgConnection;

use crate::ids::{ConversationId, OutageId, TurnId};
use crate::text_enum::text_enum;
use crate::turns::Turn;

text_enum! {
    /// Why nobody apologised for a turn that failed.
    pub enum NoApology in ["channel_turns.no_apology"] {
        /// An administrator had it tried again: somebody had apologised for the first one.
        Retried = "retried",
        /// Somebody had apologised to this person in the same outage of the agent.
        SameOutage = "same_outage",
    }
}

/// Notes of a running turn, before it fails, in which outage of its agent it does, and why nobody apologises.
pub async fn note_failure(
    conn: &mut PgConnection,
    id: TurnId,
    outage_id: Option<OutageId>,
    no_apology: Option<NoApology>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_turns SET outage_id = $2, no_apology = $3 WHERE id = $1 AND state = 'running'",
    )
    .bind(id)
    .bind(outage_id)
    .bind(no_apology)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether somebody apologised to this person on WhatsApp in an outage. The caller holds the conversation's lock.
pub async fn was_apologised_for(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    outage_id: OutageId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_turns WHERE outage_id = $2 AND conversation_id = $1 AND channel = 'whatsapp' AND no_apology IS NULL)",
    )
    .bind(conversation_id)
    .bind(outage_id)
    .fetch_one(conn)
    .await
}

/// Whether the turn before this one failed in an outage that lasts.
pub async fn is_in_outage(conn: &mut PgConnection, turn: &Turn) -> sqlx::Result<bool> {
    let lasts: Option<bool> = sqlx::query_scalar(
        "SELECT o.closed_at IS NULL
         FROM (SELECT outage_id FROM channel_turns WHERE conversation_id = $1 AND id < $2 ORDER BY id DESC LIMIT 1) AS before
         JOIN channel_agent_outages o ON o.id = before.outage_id",
    )
    .bind(turn.conversation_id)
    .bind(turn.id)
    .fetch_optional(conn)
    .await?;
    Ok(lasts.unwrap_or(false))
}
