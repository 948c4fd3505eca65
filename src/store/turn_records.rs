//! Turns for administrators: calls of the agent and their results, without anybody's words.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::apologies::NoApology;
use crate::clock;
use crate::ids::{ConversationId, MessageId, ScheduleName, TurnId, UserId};
use crate::messages::ChannelName;
use crate::turns::TurnState;
use crate::withheld::WithheldKind;

/// A turn.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct TurnRecord {
    /// Its number.
    pub id: TurnId,
    /// Whose conversation; `None`: the user was erased.
    pub user_id: Option<UserId>,
    /// Where it is answered.
    pub channel: ChannelName,
    /// How far it is.
    pub state: TurnState,
    /// Who was asked.
    pub agent: String,
    /// The schedule that asked; `None`: somebody wrote.
    pub schedule: Option<ScheduleName>,
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
    /// The failed turn whose messages it answers.
    pub retry_of: Option<TurnId>,
    /// The turn that answers its messages once more.
    pub retried_as: Option<TurnId>,
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

/// Which turns; what is `None` does not narrow.
#[derive(Clone, Debug)]
pub struct TurnSearch {
    /// In this thread.
    pub conversation: Option<ConversationId>,
    /// In this state.
    pub state: Option<TurnState>,
    /// Begun at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Begun before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Of a lower number.
    pub before: Option<TurnId>,
    /// So many at most.
    pub limit: i64,
}

/// Turns, the newest first.
pub async fn turns(conn: &mut PgConnection, filter: &TurnSearch) -> sqlx::Result<Vec<TurnRecord>> {
    let range = NumberRange {
        low: match filter.since {
            Some(since) => first_turn_at(conn, since - AMISS).await?,
            None => 0,
        },
        high: match filter.until {
            Some(until) => first_turn_at(conn, until + AMISS).await?,
            None => i64::MAX,
        },
    };
    let ids = turn_ids(conn, filter, range).await?;
    turns_by_id(conn, &ids).await
}

/// These turns, the newest first.
pub async fn turns_by_id(conn: &mut PgConnection, ids: &[TurnId]) -> sqlx::Result<Vec<TurnRecord>> {
    sqlx::query_as(
        "SELECT t.id, c.user_id, t.channel, t.state, t.agent, s.schedule, t.started_at, t.finished_at, t.withheld, t.error, t.no_apology,
                t.calls AS runs, t.told_at, CASE WHEN t.state = 'running' THEN t.ask_again_at END AS ask_again_at, t.retry_of,
                (SELECT r.id FROM channel_turns r WHERE r.retry_of = t.id) AS retried_as,
                ARRAY(SELECT m.id FROM channel_messages m WHERE m.turn_id = t.id ORDER BY m.id) AS message_ids
         FROM channel_turns t JOIN channel_conversations c ON c.id = t.conversation_id LEFT JOIN channel_slots s ON s.id = t.slot_id
         WHERE t.id = ANY ($1) ORDER BY t.id DESC",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// Rows are numbered in the order of their times, but for transactions side by side and a clock that is set: by so much a search by time is amiss.
pub(crate) const AMISS: TimeDelta = TimeDelta::minutes(1);

/// Numbers that may belong to the times that are asked for: from `low` on, below `high`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberRange {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

/// The number of the first turn that began at a moment or later, by halves: turns are numbered in that order, and no index has their times.
async fn first_turn_at(conn: &mut PgConnection, moment: DateTime<Utc>) -> sqlx::Result<i64> {
    let first: Option<i64> = sqlx::query_scalar(
        "WITH RECURSIVE search (low, high) AS (
             SELECT (SELECT min(id) FROM channel_turns), (SELECT max(id) FROM channel_turns) + 1
             UNION ALL
             SELECT CASE WHEN p.started_at < $1 THEN p.id + 1 ELSE s.low END, CASE WHEN p.started_at < $1 THEN s.high ELSE s.low + (s.high - s.low) / 2 END
             FROM search s LEFT JOIN LATERAL (
                 SELECT id, started_at FROM channel_turns WHERE id >= s.low + (s.high - s.low) / 2 AND id < s.high ORDER BY id LIMIT 1) AS p ON TRUE
             WHERE s.low < s.high)
         SELECT low FROM search WHERE low >= high LIMIT 1",
    )
    .bind(moment)
    .fetch_optional(conn)
    .await?;
    Ok(first.unwrap_or(0))
}

/// Which turns. Each filter has its own statement, which one index answers in order; with a combined statement
/// Postgres reads the whole table for some filters.
async fn turn_ids(
    conn: &mut PgConnection,
    filter: &TurnSearch,
    range: NumberRange,
) -> sqlx::Result<Vec<TurnId>> {
    let question = match (filter.conversation, filter.state) {
        (None, None) => {
            "SELECT id FROM channel_turns WHERE id < $1 AND id >= $3 AND started_at >= $4 AND started_at < $5 ORDER BY id DESC LIMIT $2"
        }
        // What ends as most do is found among the newest.
        (None, Some(TurnState::Replied)) => {
            "SELECT id FROM channel_turns WHERE state = 'replied' AND id < $1 AND id >= $3 AND started_at >= $4 AND started_at < $5 ORDER BY id DESC LIMIT $2"
        }
        (None, Some(TurnState::Running)) => {
            "SELECT id FROM channel_turns WHERE state = 'running' AND id + 0 < $1 AND id + 0 >= $3 AND started_at >= $4 AND started_at < $5
             ORDER BY id + 0 DESC LIMIT $2"
        }
        (None, Some(_)) => {
            "SELECT id FROM channel_turns WHERE state = $6 AND state IN ('failed', 'silent') AND id < $1 AND id >= $3 AND started_at >= $4 AND started_at < $5
             ORDER BY id DESC LIMIT $2"
        }
        (Some(_), None) => {
            "SELECT id FROM channel_turns WHERE conversation_id = $6 AND id < $1 AND id >= $3 AND started_at >= $4 AND started_at < $5
             ORDER BY conversation_id DESC, id DESC LIMIT $2"
        }
        (Some(_), Some(TurnState::Replied)) => {
            "SELECT id FROM channel_turns WHERE conversation_id = $6 AND state = 'replied' AND id < $1 AND id >= $3 AND started_at >= $4 AND started_at < $5
             ORDER BY conversation_id DESC, id DESC LIMIT $2"
        }
        (Some(_), Some(TurnState::Running)) => {
            "SELECT id FROM channel_turns WHERE conversation_id = $6 AND state = 'running' AND id + 0 < $1 AND id + 0 >= $3 AND started_at >= $4 AND started_at < $5
             ORDER BY id + 0 DESC LIMIT $2"
        }
        (Some(_), Some(_)) => {
            "SELECT id FROM channel_turns WHERE conversation_id = $6 AND state = $7 AND state IN ('failed', 'silent') AND id < $1 AND id >= $3
               AND started_at >= $4 AND started_at < $5 ORDER BY conversation_id DESC, state DESC, id DESC LIMIT $2"
        }
    };
    let state = filter.state.filter(|state| !matches!(state, TurnState::Replied | TurnState::Running));
    ids(conn, question, filter, range, state.map(TurnState::as_str)).await
}

/// Asks for ids; `$1` to `$5` are the page and the times, then comes the thread, then the state, as far as the question does not name them itself.
async fn ids(
    conn: &mut PgConnection,
    question: &'static str,
    filter: &TurnSearch,
    range: NumberRange,
    state: Option<&str>,
) -> sqlx::Result<Vec<TurnId>> {
    let mut ids = sqlx::query_scalar(question)
        .bind(filter.before.map_or(i64::MAX, |id| id.0).min(range.high))
        .bind(filter.limit)
        .bind(range.low)
        .bind(filter.since.unwrap_or(DateTime::UNIX_EPOCH))
        .bind(filter.until.unwrap_or(clock::FAR_OFF));
    if let Some(conversation) = filter.conversation {
        ids = ids.bind(conversation);
    }
    if let Some(state) = state {
        ids = ids.bind(state);
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
