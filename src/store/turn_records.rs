//! Turns and messages for administrators: calls of the agent and their results, without anybody's words.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::apologies::NoApology;
use crate::ids::{MessageId, TurnId};
use crate::messages::{ChannelName, MessageOutcome};
use crate::turns::TurnState;
use crate::withheld::WithheldKind;

/// A turn.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct TurnRecord {
    /// Its number.
    pub id: TurnId,
    /// Whose conversation; `None`: the user was erased.
    pub user_id: Option<String>,
    /// Where it is answered.
    pub channel: ChannelName,
    /// How far it is.
    pub state: TurnState,
    /// Who was asked.
    pub agent: String,
    /// The schedule that asked; `None`: somebody wrote.
    pub schedule: Option<String>,
    /// When the first call began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What its answer held that is not for a person.
    pub withheld: Vec<WithheldKind>,
    /// Why it failed.
    pub error: Option<String>,
    /// Why nobody apologised.
    pub no_apology: Option<NoApology>,
    /// Its calls of the agent that were counted.
    pub runs: i32,
    /// When the person was told that it takes longer.
    pub told_at: Option<DateTime<Utc>>,
    /// Until when the agent is left alone, while the turn runs.
    pub ask_again_at: Option<DateTime<Utc>>,
    /// The messages it answers.
    pub message_ids: Vec<MessageId>,
}

/// A call of the agent within a turn.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct CallRecord {
    /// Of which turn.
    pub turn_id: TurnId,
    /// From 1.
    pub call: i32,
    /// How often the agent was asked under this number: more than once while no run began.
    pub tries: i32,
    /// Before the latest of these calls.
    pub started_at: DateTime<Utc>,
    /// `None`: under way, or its process died.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Which of them; what is `None` does not narrow.
#[derive(Clone, Debug)]
pub struct RecordFilter<'a, S> {
    /// This user's.
    pub user_id: Option<&'a str>,
    /// In this state.
    pub state: Option<S>,
    /// Of a lower number.
    pub before: Option<i64>,
    /// So many at most.
    pub limit: i64,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// It has no outcome.
    Waiting,
    /// It has this one.
    Ended(MessageOutcome),
}

/// Turns, the newest first.
pub async fn turns(
    conn: &mut PgConnection,
    filter: &RecordFilter<'_, TurnState>,
) -> sqlx::Result<Vec<TurnRecord>> {
    let ids = turn_ids(conn, filter).await?;
    sqlx::query_as(
        "SELECT t.id, c.user_id, t.channel, t.state, t.agent, s.schedule, t.started_at, t.finished_at, t.withheld, t.error, t.no_apology,
                t.calls AS runs, t.told_at, CASE WHEN t.state = 'running' THEN t.ask_again_at END AS ask_again_at,
                ARRAY(SELECT m.id FROM channel_messages m WHERE m.turn_id = t.id ORDER BY m.id) AS message_ids
         FROM channel_turns t JOIN channel_conversations c ON c.id = t.conversation_id LEFT JOIN channel_slots s ON s.id = t.slot_id
         WHERE t.id = ANY ($1) ORDER BY t.id DESC",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// Which turns. Each filter has its own statement, which one index answers in order; with a combined statement
/// Postgres reads the whole table for some filters.
async fn turn_ids(
    conn: &mut PgConnection,
    filter: &RecordFilter<'_, TurnState>,
) -> sqlx::Result<Vec<TurnId>> {
    let question = match (filter.user_id, filter.state) {
        (None, None) => "SELECT id FROM channel_turns WHERE id < $1 ORDER BY id DESC LIMIT $2",
        // What ends as most do is found among the newest.
        (None, Some(TurnState::Replied)) => {
            "SELECT id FROM channel_turns WHERE state = 'replied' AND id < $1 ORDER BY id DESC LIMIT $2"
        }
        (None, Some(TurnState::Running)) => {
            "SELECT id FROM channel_turns WHERE state = 'running' AND id + 0 < $1 ORDER BY id + 0 DESC LIMIT $2"
        }
        (None, Some(_)) => {
            "SELECT id FROM channel_turns WHERE state = $3 AND state IN ('failed', 'silent') AND id < $1 ORDER BY id DESC LIMIT $2"
        }
        (Some(_), None) => {
            "SELECT id FROM channel_turns WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3) AND id < $1
             ORDER BY conversation_id DESC, id DESC LIMIT $2"
        }
        (Some(_), Some(TurnState::Replied)) => {
            "SELECT id FROM channel_turns WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3) AND state = 'replied' AND id < $1
             ORDER BY conversation_id DESC, id DESC LIMIT $2"
        }
        (Some(_), Some(TurnState::Running)) => {
            "SELECT id FROM channel_turns WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3) AND state = 'running' AND id + 0 < $1
             ORDER BY id + 0 DESC LIMIT $2"
        }
        (Some(_), Some(_)) => {
            "SELECT id FROM channel_turns WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3)
               AND state = $4 AND state IN ('failed', 'silent') AND id < $1 ORDER BY conversation_id DESC, state DESC, id DESC LIMIT $2"
        }
    };
    let state = filter.state.filter(|state| !matches!(state, TurnState::Replied | TurnState::Running));
    ids(conn, question, filter, state.map(TurnState::as_str)).await
}

/// Asks for ids; `$1` and `$2` are the page, then comes the user, then the state, as far as the question does not name them itself.
async fn ids<S, I>(
    conn: &mut PgConnection,
    question: &'static str,
    filter: &RecordFilter<'_, S>,
    state: Option<&str>,
) -> sqlx::Result<Vec<I>>
where
    I: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let mut ids = sqlx::query_scalar(question).bind(filter.before.unwrap_or(i64::MAX)).bind(filter.limit);
    for narrower in filter.user_id.iter().chain(&state) {
        ids = ids.bind(*narrower);
    }
    ids.fetch_all(conn).await
}

/// The calls of these turns, in order.
pub async fn calls(conn: &mut PgConnection, turn_ids: &[TurnId]) -> sqlx::Result<Vec<CallRecord>> {
    sqlx::query_as(
        "SELECT turn_id, call, tries, started_at, ended_at, error FROM channel_agent_calls WHERE turn_id = ANY ($1) ORDER BY turn_id, call",
    )
    .bind(turn_ids)
    .fetch_all(conn)
    .await
}

/// A message that somebody wrote.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct MessageRecord {
    /// Its number.
    pub id: MessageId,
    /// Twilio's id, or the dashboard's.
    pub sid: String,
    /// Where it was written.
    pub channel: ChannelName,
    /// Whose conversation it is in; `None`: in none, or the user was erased.
    pub user_id: Option<String>,
    /// The phone as it was last spelled; `None`: written in the dashboard, or erased.
    pub address: Option<String>,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// Its webhook never came; Twilio's list had it.
    pub backfilled: bool,
    /// The turn that has it.
    pub turn_id: Option<TurnId>,
    /// How it ended; `None`: it has not.
    pub outcome: Option<MessageOutcome>,
    /// Why.
    pub outcome_reason: Option<String>,
}

/// Messages, the newest first.
pub async fn messages(
    conn: &mut PgConnection,
    filter: &RecordFilter<'_, MessageState>,
) -> sqlx::Result<Vec<MessageRecord>> {
    let ids = message_ids(conn, filter).await?;
    sqlx::query_as(
        "SELECT m.id, m.sid, m.channel, c.user_id,
                (SELECT a.alias FROM channel_address_aliases a WHERE a.address_id = m.address_id ORDER BY a.last_seen_at DESC LIMIT 1) AS address,
                m.received_at, m.backfilled, m.turn_id, m.outcome, m.outcome_reason
         FROM channel_messages m LEFT JOIN channel_conversations c ON c.id = m.conversation_id
         WHERE m.id = ANY ($1) ORDER BY m.id DESC",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// How most messages end.
const ANSWERED: MessageState = MessageState::Ended(MessageOutcome::Answered);

/// Which messages; each filter has a statement of its own, as for turns. A message without an outcome is in no turn, or in one that runs.
async fn message_ids(
    conn: &mut PgConnection,
    filter: &RecordFilter<'_, MessageState>,
) -> sqlx::Result<Vec<MessageId>> {
    let question = match (filter.user_id, filter.state) {
        (None, None) => "SELECT id FROM channel_messages WHERE id < $1 ORDER BY id DESC LIMIT $2",
        (None, Some(ANSWERED)) => {
            "SELECT id FROM channel_messages WHERE outcome = 'answered' AND id < $1 ORDER BY id DESC LIMIT $2"
        }
        (None, Some(MessageState::Waiting)) => {
            "SELECT id FROM (
                 SELECT id FROM channel_messages WHERE turn_id IS NULL AND outcome IS NULL
                 UNION ALL
                 SELECT m.id FROM channel_turns t CROSS JOIN LATERAL (SELECT id, outcome FROM channel_messages WHERE turn_id = t.id OFFSET 0) AS m
                 WHERE t.state = 'running' AND m.outcome IS NULL) AS waiting
             WHERE id < $1 ORDER BY id DESC LIMIT $2"
        }
        (None, Some(_)) => {
            "SELECT id FROM channel_messages WHERE outcome = $3 AND outcome <> 'answered' AND id < $1 ORDER BY id DESC LIMIT $2"
        }
        (Some(_), None) => {
            "SELECT id FROM channel_messages WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3) AND id < $1
             ORDER BY conversation_id DESC, id DESC LIMIT $2"
        }
        (Some(_), Some(ANSWERED)) => {
            "SELECT id FROM channel_messages WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3) AND outcome = 'answered'
               AND id < $1 ORDER BY conversation_id DESC, id DESC LIMIT $2"
        }
        (Some(_), Some(MessageState::Waiting)) => {
            "SELECT id FROM (
                 SELECT id FROM channel_messages
                 WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3) AND turn_id IS NULL AND outcome IS NULL
                 UNION ALL
                 SELECT m.id FROM channel_turns t CROSS JOIN LATERAL (SELECT id, outcome FROM channel_messages WHERE turn_id = t.id OFFSET 0) AS m
                 WHERE t.conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3) AND t.state = 'running' AND m.outcome IS NULL
             ) AS waiting
             WHERE id < $1 ORDER BY id DESC LIMIT $2"
        }
        (Some(_), Some(_)) => {
            "SELECT id FROM channel_messages WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $3)
               AND outcome = $4 AND outcome <> 'answered' AND id < $1 ORDER BY conversation_id DESC, outcome DESC, id DESC LIMIT $2"
        }
    };
    let outcome = match filter.state {
        None | Some(ANSWERED | MessageState::Waiting) => None,
        Some(MessageState::Ended(outcome)) => Some(outcome.as_str()),
    };
    ids(conn, question, filter, outcome).await
}
