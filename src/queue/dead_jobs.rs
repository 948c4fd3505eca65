//! Dead jobs that get a successor, for callers that know what a retry of a kind means. The queue itself can only bring
//! a job back as it was ([`crate::inspection::JobAction::Retry`]), which does nothing where the job's follow-up has closed
//! its subject.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::audit;
use crate::job::JobId;

/// A dead job.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct DeadJob {
    /// Its number.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
}

/// Jobs of a kind that gave up.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DeadOfKind {
    /// The kind.
    pub kind: String,
    /// How many of the latest thousand deaths.
    pub jobs: i64,
    /// When the latest of them died.
    pub latest: DateTime<Utc>,
}

/// The latest thousand jobs that gave up, by kind.
pub async fn latest(conn: &mut PgConnection) -> sqlx::Result<Vec<DeadOfKind>> {
    sqlx::query_as(
        "SELECT kind, count(*) AS jobs, max(finished_at) AS latest FROM (SELECT kind, finished_at FROM queue.dead ORDER BY finished_at DESC LIMIT 1000) AS d
         GROUP BY kind ORDER BY count(*) DESC, kind",
    )
    .fetch_all(conn)
    .await
}

/// Reads a dead job and locks it until the caller's transaction ends, so that of two concurrent retries the second
/// finds it gone. `None`: it is not dead.
pub async fn lock(conn: &mut PgConnection, id: JobId) -> sqlx::Result<Option<DeadJob>> {
    sqlx::query_as("SELECT id, kind, payload FROM queue.dead WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Reads and locks the dead jobs of a kind in a lane, the oldest first.
pub async fn lock_of_lane(conn: &mut PgConnection, lane: &str, kind: &str) -> sqlx::Result<Vec<DeadJob>> {
    sqlx::query_as(
        "SELECT id, kind, payload FROM queue.dead WHERE lane = $1 AND kind = $2 ORDER BY id FOR UPDATE",
    )
    .bind(lane)
    .bind(kind)
    .fetch_all(conn)
    .await
}

/// Moves a dead job that has a successor to the history. The caller holds its lock.
pub async fn put_away(conn: &mut PgConnection, id: JobId, why: &str) -> sqlx::Result<()> {
    sqlx::query(
        "WITH gone AS (DELETE FROM queue.dead WHERE id = $1 RETURNING *)
         INSERT INTO queue.finished (id, created_at, attempt, crashes, cancelled, kind, pool, lane, unique_key, traceparent, reason, payload)
         SELECT id, created_at, attempt, crashes, TRUE, kind, pool, lane, unique_key, traceparent, $2 || ' after: ' || reason, payload FROM gone",
    )
    .bind(id)
    .bind(why)
    .execute(conn)
    .await?;
    Ok(())
}

/// Records the outcome of an administrator's retry in the audit.
pub async fn note(conn: &mut PgConnection, actor: &str, id: JobId, outcome: &str) -> sqlx::Result<()> {
    audit::note(conn, actor, "retry", &format!("job {id}"), outcome).await
}
