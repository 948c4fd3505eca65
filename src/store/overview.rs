//! What an operator is told first: how much is in doubt, undelivered or waiting. Each number is counted up to a limit, so that an answer takes as
//! long with a million rows as with none.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::agent_outages::AgentTrouble;
use crate::chunks::ChunkState;
use crate::cursors::Cursor;

/// Rows that wait, and since when the oldest does.
#[derive(Clone, Copy, Debug, PartialEq, sqlx::FromRow)]
pub struct Waiting {
    /// How many: 10,001 stands for more than 10,000.
    pub number: i64,
    /// The oldest of those that were counted; `None`: there is none.
    pub since: Option<DateTime<Utc>>,
}

/// Sends of which nobody knows whether Twilio has them.
#[derive(Clone, Copy, Debug, PartialEq, sqlx::FromRow)]
pub struct SendsInDoubt {
    /// How many: 10,001 stands for more than 10,000.
    pub number: i64,
    /// When the oldest of those that were counted was tried last; `None`: there is none.
    pub since: Option<DateTime<Utc>>,
    /// How many answers were lost over the one that lost most; 0 while each was tried twice at most.
    pub lost_answers: Option<i64>,
}

/// Sends in doubt whose deadline is past.
pub async fn in_doubt(conn: &mut PgConnection) -> sqlx::Result<SendsInDoubt> {
    sqlx::query_as(
        "SELECT count(*) AS number, min(since) AS since, max(lost) AS lost_answers
         FROM (SELECT c.updated_at AS since,
                      CASE WHEN c.attempt > 2
                           THEN (SELECT count(*) FROM channel_send_attempts a WHERE a.chunk_id = c.id AND a.outcome IN ('in_doubt', 'missed')) ELSE 0 END AS lost
               FROM channel_chunks c
               WHERE c.state IN ('sending', 'unknown') AND (c.state = 'unknown' OR c.deadline_at < now()) LIMIT 10001) AS found",
    )
    .fetch_one(conn)
    .await
}

/// Messages by their state.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct CountedChunks {
    /// How far they are.
    pub state: ChunkState,
    /// How many.
    pub number: i64,
}

/// What became of the messages of the last hour, of the newest 2,000 deliveries at most. What was sent anew is told by its successor.
pub async fn sent_lately(conn: &mut PgConnection) -> sqlx::Result<Vec<CountedChunks>> {
    sqlx::query_as(
        "SELECT c.state, count(*) AS number
         FROM (SELECT id, created_at FROM channel_deliveries ORDER BY id DESC LIMIT 2000) AS d JOIN channel_chunks c ON c.delivery_id = d.id
         WHERE d.created_at > now() - interval '1 hour' AND NOT EXISTS (SELECT FROM channel_deliveries s WHERE s.resent_from = c.id)
         GROUP BY 1",
    )
    .fetch_all(conn)
    .await
}

/// The messages that are still to be sent or under way, of 10,000 deliveries at most. What has ended is not read, however much there is of it.
pub async fn to_be_sent(conn: &mut PgConnection) -> sqlx::Result<Vec<CountedChunks>> {
    sqlx::query_as(
        "SELECT c.state, count(*) AS number FROM channel_chunks c
         WHERE c.delivery_id = ANY (ARRAY(SELECT id FROM channel_deliveries WHERE state = 'open' LIMIT 10000)) AND c.state IN ('planned', 'sending')
         GROUP BY 1",
    )
    .fetch_all(conn)
    .await
}

/// An agent that answers nobody.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct OpenOutage {
    /// A gateway and an agent's name; of a user's own gateway also the conversation.
    pub agent: String,
    /// What was wrong at first.
    pub trouble: AgentTrouble,
    /// When the first turn had failed.
    pub opened_at: DateTime<Utc>,
    /// When the latest one had.
    pub failed_at: DateTime<Utc>,
}

/// The outages that last, the longest first, 200 at most. One in which nothing has failed for a day had ended.
pub async fn outages(conn: &mut PgConnection) -> sqlx::Result<Vec<OpenOutage>> {
    sqlx::query_as(
        "SELECT agent, trouble, opened_at, failed_at FROM channel_agent_outages
         WHERE closed_at IS NULL AND failed_at > now() - interval '1 day' ORDER BY opened_at LIMIT 200",
    )
    .fetch_all(conn)
    .await
}

/// When an agent has last answered or failed, as its newest 100 calls tell; `None`: none of them has ended.
pub async fn agent_heard_at(conn: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar(
        "SELECT max(ended_at) FROM (SELECT ended_at FROM channel_agent_calls ORDER BY turn_id DESC, call DESC LIMIT 100) AS newest",
    )
    .fetch_one(conn)
    .await
}

/// Turns whose call of the agent has failed and that are asked again.
pub async fn asked_again(conn: &mut PgConnection) -> sqlx::Result<Waiting> {
    sqlx::query_as(
        "SELECT count(*) AS number, min(since) AS since
         FROM (SELECT started_at AS since FROM channel_turns WHERE state = 'running' AND ask_again_at IS NOT NULL LIMIT 10001) AS found",
    )
    .fetch_one(conn)
    .await
}

/// Parts of erasures that should have been emptied an hour ago.
pub async fn late_erasures(conn: &mut PgConnection) -> sqlx::Result<Waiting> {
    sqlx::query_as(
        "SELECT count(*) AS number, min(due_at) AS since
         FROM (SELECT due_at FROM channel_erasures WHERE due_at < now() - interval '1 hour' LIMIT 10001) AS found",
    )
    .fetch_one(conn)
    .await
}

/// How far Twilio's list of inbound messages has been read; `None`: never.
pub async fn backfilled_until(conn: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar("SELECT moment FROM channel_cursors WHERE name = $1")
        .bind(Cursor::Backfill)
        .fetch_optional(conn)
        .await
}
