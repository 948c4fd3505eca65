//! Jobs that gave up, for whoever knows what another try of one means. The queue itself can only bring a job back as it was
//! ([`crate::inspection::Action::Retry`]), which is worth nothing where its follow-up has closed what the job was about.

use serde_json::Value;
use sqlx::PgConnection;

use crate::inspection;
use crate::job::JobId;

/// A job that gave up.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct DeadJob {
    /// Its number.
    pub id: JobId,
    /// What it did.
    pub kind: String,
    /// What it was about.
    pub payload: Value,
}

/// A dead job, locked until the caller's transaction ends: of two who try it again at once, the second finds it gone. `None`: it is not dead.
pub async fn lock(conn: &mut PgConnection, id: JobId) -> sqlx::Result<Option<DeadJob>> {
    sqlx::query_as("SELECT id, kind, payload FROM queue.dead WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Puts a dead job away that has a successor, with all that is known of it. The caller holds its lock.
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

/// Writes down what came of an administrator's retry.
pub async fn note(conn: &mut PgConnection, actor: &str, id: JobId, outcome: &str) -> sqlx::Result<()> {
    inspection::note(conn, actor, "retry", &format!("job {id}"), outcome).await
}
