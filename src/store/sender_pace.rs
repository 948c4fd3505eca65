//! `channel_sender_pace`: how fast the sender may speak, over all processes. Whoever wants to send is given a moment, in the order of asking;
//! nobody is turned away.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Takes the next free moment of a stream that has so many each second. It lies in the past or now where the stream is idle.
pub async fn take(conn: &mut PgConnection, stream: &str, per_sec: f64) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar(
        "INSERT INTO channel_sender_pace AS p (stream, free_at) VALUES ($1, clock_timestamp() + make_interval(secs => 1 / $2))
         ON CONFLICT (stream) DO UPDATE SET free_at = greatest(p.free_at, clock_timestamp()) + make_interval(secs => 1 / $2)
         RETURNING free_at - make_interval(secs => 1 / $2)",
    )
    .bind(stream)
    .bind(per_sec)
    .fetch_one(conn)
    .await
}
