//! What the history tells of a kind, for callers that judge by it whether something works again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Whether a job of the kind has succeeded after the moment. Ten thousand jobs of the history are looked at, those that were enqueued last.
pub async fn has_done_since(
    conn: &mut PgConnection,
    kind: &str,
    moment: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM (SELECT kind, cancelled, finished_at FROM queue.finished ORDER BY id DESC LIMIT 10000) AS f
                        WHERE kind = $1 AND NOT cancelled AND finished_at > $2)",
    )
    .bind(kind)
    .bind(moment)
    .fetch_one(conn)
    .await
}

/// How many jobs ended in each of the last sixty minutes, the oldest first; of the ten thousand that were enqueued last.
pub async fn by_minute(conn: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT count(latest.finished_at) FROM generate_series(59, 0, -1) AS ago
         LEFT JOIN (SELECT finished_at FROM queue.finished ORDER BY id DESC LIMIT 10000) AS latest
             ON latest.finished_at > now() - interval '1 hour' AND floor(extract(epoch FROM now() - latest.finished_at) / 60) = ago
         GROUP BY ago ORDER BY ago DESC",
    )
    .fetch_all(conn)
    .await
}
