//! `channel_turns`: runs of the agent. A turn is committed with its messages before the agent is called. Each call is
//! counted before it is made, so a second call after a crash is visible. A stored reply is never replaced.
//!
//! A reply, a schedule's words and a failure become entries of the thread by the triggers `channel_note_turn` and
//! `channel_note_reply` (`migrations/functions.sql`).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::agent_calls;
use crate::ids::{ConversationId, MessageId, SlotId, TurnId};
use crate::messages::{ChannelName, MessageOutcome};
use crate::text_enum::text_enum;
use crate::withheld::WithheldKind;

text_enum! {
    /// How far a turn is.
    pub enum TurnState in ["channel_turns.state"] {
        /// Until it ends, once, for good.
        Running = "running",
        /// The agent has answered.
        Replied = "replied",
        /// The agent chose to say nothing.
        Silent = "silent",
        /// The agent failed for good.
        Failed = "failed",
    }
}

/// A run of the agent.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Turn {
    /// Its number.
    pub id: TurnId,
    /// The thread it belongs to.
    pub conversation_id: ConversationId,
    /// How far it is.
    pub state: TurnState,
    /// Calls of the agent that were counted: each one before it is made.
    pub calls: i32,
    /// The agent is not asked again before.
    pub ask_again_at: Option<DateTime<Utc>>,
    /// When the person was told that it takes longer.
    pub told_at: Option<DateTime<Utc>>,
    /// Where it is answered.
    pub channel: ChannelName,
    /// When the first call began; the time for the turn counts from here.
    pub started_at: DateTime<Utc>,
    /// The slot that asked for it; `None`: somebody wrote.
    pub slot_id: Option<SlotId>,
    /// The failed turn whose messages it answers, by an administrator's wish; `None`: it is the first of its messages.
    pub retry_of: Option<TurnId>,
}

impl Turn {
    /// Whether a schedule asked for it, and its agent is left alone for a while: nobody else is kept waiting by it.
    #[must_use]
    pub fn is_prompt_at_rest(&self) -> bool {
        self.slot_id.is_some() && self.ask_again_at.is_some()
    }
}

/// The running turn of a conversation: one that a crash or a failed call left behind. The caller holds the conversation's lock.
pub async fn running(conn: &mut PgConnection, conversation_id: ConversationId) -> sqlx::Result<Option<Turn>> {
    sqlx::query_as("SELECT id, conversation_id, state, calls, ask_again_at, told_at, channel, started_at, slot_id, retry_of FROM channel_turns WHERE conversation_id = $1 AND state = 'running'")
        .bind(conversation_id)
        .fetch_optional(conn)
        .await
}

/// A turn by its number.
pub async fn get(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Option<Turn>> {
    sqlx::query_as(
        "SELECT id, conversation_id, state, calls, ask_again_at, told_at, channel, started_at, slot_id, retry_of FROM channel_turns WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Opens a turn with these messages, at its first call. The caller holds the conversation's lock.
pub async fn begin(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    agent: &str,
    message_ids: &[MessageId],
) -> sqlx::Result<Turn> {
    let mut turn: Turn = sqlx::query_as(
        "INSERT INTO channel_turns (conversation_id, agent) VALUES ($1, $2) RETURNING id, conversation_id, state, calls, ask_again_at, told_at, channel, started_at, slot_id, retry_of",
    )
    .bind(conversation_id)
    .bind(agent)
    .fetch_one(&mut *conn)
    .await?;
    let of_dashboard = sqlx::query(
        "UPDATE channel_turns SET channel = 'dashboard' WHERE id = $1 AND NOT EXISTS (SELECT FROM channel_messages WHERE id = ANY ($2) AND channel = 'whatsapp')",
    )
    .bind(turn.id)
    .bind(message_ids)
    .execute(&mut *conn)
    .await?;
    if of_dashboard.rows_affected() == 1 {
        turn.channel = ChannelName::Dashboard;
    }
    sqlx::query(
        // The expression keeps Postgres from the index of unanswered messages: the ids are the better way, whatever
        // the statistics said when the plan was made.
        "UPDATE channel_messages SET turn_id = $1 WHERE id = ANY ($2) AND coalesce(turn_id, 0) = 0 AND outcome IS NULL",
    )
    .bind(turn.id)
    .bind(message_ids)
    .execute(&mut *conn)
    .await?;
    agent_calls::note(conn, &turn).await?;
    Ok(turn)
}

/// Opens a turn that answers the messages of a failed one again, and removes their outcome. `None`: there is such a
/// turn already, or no message is left. The caller holds the conversation's lock.
pub async fn begin_again(conn: &mut PgConnection, failed: TurnId, agent: &str) -> sqlx::Result<Option<Turn>> {
    let turn: Option<Turn> = sqlx::query_as(
        "INSERT INTO channel_turns (conversation_id, agent, channel, retry_of)
         SELECT t.conversation_id, $2, t.channel, t.id FROM channel_turns t
         WHERE t.id = $1 AND t.state = 'failed' AND EXISTS (SELECT FROM channel_messages m WHERE m.turn_id = t.id AND m.outcome = 'failed')
         ON CONFLICT (retry_of) WHERE retry_of IS NOT NULL DO NOTHING
         RETURNING id, conversation_id, state, calls, ask_again_at, told_at, channel, started_at, slot_id, retry_of",
    )
    .bind(failed)
    .bind(agent)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(turn) = turn else { return Ok(None) };
    sqlx::query(
        "UPDATE channel_messages SET turn_id = $2, outcome = NULL, outcome_reason = NULL, outcome_at = NULL, retried_at = clock_timestamp()
         WHERE turn_id = $1 AND outcome = 'failed'",
    )
    .bind(failed)
    .bind(turn.id)
    .execute(&mut *conn)
    .await?;
    agent_calls::note(conn, &turn).await?;
    Ok(Some(turn))
}

/// What there is for a slot to do.
#[derive(Clone, Debug, PartialEq)]
pub enum OfSlot {
    /// A new turn, at its first call.
    Begun(Turn),
    /// This slot's own turn, which a crash or a failed call left behind; no call has been counted.
    LeftBehind(Turn),
    /// Another turn of this conversation runs; nothing was done.
    Busy,
}

/// Opens a turn that a slot asks for. The caller holds the conversation's lock.
pub async fn begin_of_slot(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    agent: &str,
    slot_id: SlotId,
) -> sqlx::Result<OfSlot> {
    let turn = match running(conn, conversation_id).await? {
        // A crash left it behind.
        Some(turn) if turn.slot_id == Some(slot_id) => return Ok(OfSlot::LeftBehind(turn)),
        Some(turn) if !turn.is_prompt_at_rest() => return Ok(OfSlot::Busy),
        other => {
            if let Some(turn) = other {
                fail(conn, turn.id, "its agent was left alone, and another prompt came").await?;
            }
            sqlx::query_as(
                "INSERT INTO channel_turns (conversation_id, agent, slot_id) VALUES ($1, $2, $3) RETURNING id, conversation_id, state, calls, ask_again_at, told_at, channel, started_at, slot_id, retry_of",
            )
            .bind(conversation_id)
            .bind(agent)
            .bind(slot_id)
            .fetch_one(&mut *conn)
            .await?
        }
    };
    agent_calls::note(conn, &turn).await?;
    Ok(OfSlot::Begun(turn))
}

/// Stores texts that a schedule says as finished turns, one in each conversation.
pub async fn post(
    conn: &mut PgConnection,
    agent: &str,
    slot_id: SlotId,
    said: &[(ConversationId, &str)],
) -> sqlx::Result<()> {
    let conversations: Vec<ConversationId> =
        said.iter().map(|(conversation_id, _)| *conversation_id).collect();
    let texts: Vec<&str> = said.iter().map(|(_, text)| *text).collect();
    sqlx::query(
        "INSERT INTO channel_turns (conversation_id, state, agent, slot_id, reply, finished_at)
         SELECT conversation_id, 'replied', $1, $4, text, clock_timestamp() FROM unnest($2::BIGINT[], $3::TEXT[]) AS new (conversation_id, text)",
    )
    .bind(agent)
    .bind(&conversations)
    .bind(&texts)
    .bind(slot_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// What was said in a turn.
pub async fn reply(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT reply FROM channel_turns WHERE id = $1").bind(id).fetch_one(conn).await
}

/// Notes that the person is told that a running turn takes longer, or need not be. False: that was noted, or the turn has ended.
pub async fn note_told(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_turns SET told_at = clock_timestamp() WHERE id = $1 AND state = 'running' AND told_at IS NULL",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps what the agent said while the reply cannot be stored; empty: it chose silence. A turn that has ended needs nothing.
pub async fn keep_in_hand(
    conn: &mut PgConnection,
    id: TurnId,
    text: &str,
    withheld: &[WithheldKind],
) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_turns SET in_hand = $2, withheld = $3 WHERE id = $1 AND state = 'running'")
        .bind(id)
        .bind(text)
        .bind(withheld)
        .execute(conn)
        .await?;
    Ok(())
}

/// What the agent said to a running turn and nobody has stored yet.
pub async fn in_hand(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT in_hand FROM channel_turns WHERE id = $1").bind(id).fetch_one(conn).await
}

/// The agent has answered. False: the turn had ended before, and its first end stands.
pub async fn finish_with_reply(conn: &mut PgConnection, id: TurnId, reply: &str) -> sqlx::Result<bool> {
    finish(conn, id, TurnState::Replied, Some(reply), None, MessageOutcome::Answered).await
}

/// The agent chose to say nothing. False: the turn had ended before.
pub async fn finish_silent(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<bool> {
    finish(conn, id, TurnState::Silent, None, None, MessageOutcome::Silent).await
}

/// The agent failed for good. False: the turn had ended before.
pub async fn fail(conn: &mut PgConnection, id: TurnId, error: &str) -> sqlx::Result<bool> {
    finish(conn, id, TurnState::Failed, None, Some(error), MessageOutcome::Failed).await
}

/// Ends a running turn without an answer and gives its messages back, to whoever answers them next. False: it had ended before.
pub async fn release(conn: &mut PgConnection, id: TurnId, reason: &str) -> sqlx::Result<bool> {
    sqlx::query(
        "UPDATE channel_messages SET turn_id = NULL WHERE turn_id = $1 AND outcome IS NULL
         AND EXISTS (SELECT FROM channel_turns t WHERE t.id = $1 AND t.state = 'running')",
    )
    .bind(id)
    .execute(&mut *conn)
    .await?;
    finish(conn, id, TurnState::Silent, None, Some(reason), MessageOutcome::Silent).await
}

/// Ends a running turn, its last call and its messages together.
async fn finish(
    conn: &mut PgConnection,
    id: TurnId,
    state: TurnState,
    reply: Option<&str>,
    error: Option<&str>,
    outcome: MessageOutcome,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_turns SET state = $2, reply = $3, error = $4, in_hand = NULL, finished_at = clock_timestamp() WHERE id = $1 AND state = 'running'",
    )
    .bind(id)
    .bind(state)
    .bind(reply)
    .bind(error)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE channel_agent_calls a SET ended_at = clock_timestamp(), error = coalesce(a.error, $2)
         FROM channel_turns t WHERE t.id = $1 AND a.turn_id = t.id AND a.call = t.calls AND a.ended_at IS NULL",
    )
    .bind(id)
    .bind(error)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE channel_messages SET outcome = $2, outcome_reason = $3, outcome_at = clock_timestamp() WHERE turn_id = $1 AND outcome IS NULL",
    )
    .bind(id)
    .bind(outcome)
    .bind(error)
    .execute(conn)
    .await?;
    Ok(true)
}
