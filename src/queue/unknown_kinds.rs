//! Jobs of kinds that no running process knows: they are parked until one comes that does.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A kind that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct UnknownKind {
    /// Its name.
    pub kind: String,
    /// Since when its jobs are parked.
    pub since: DateTime<Utc>,
    /// How many.
    pub jobs: i64,
}

/// The kinds of jobs that have been parked for longer than this and that no running process knows.
pub async fn since(conn: &mut PgConnection, at_least: Duration) -> sqlx::Result<Vec<UnknownKind>> {
    sqlx::query_as(
        "SELECT u.kind, u.since, parked.jobs FROM queue.unknown_kinds u
             CROSS JOIN LATERAL (SELECT count(*) AS jobs FROM queue.jobs j WHERE j.phase = 'parked' AND j.kind = u.kind) AS parked
         WHERE u.since <= now() - make_interval(secs => $1) AND parked.jobs > 0
           AND NOT EXISTS (SELECT FROM queue.workers w WHERE w.lease_until > now() AND (w.kinds IS NULL OR u.kind = ANY (w.kinds)))
         ORDER BY u.kind",
    )
    .bind(at_least.as_secs_f64())
    .fetch_all(conn)
    .await
}
