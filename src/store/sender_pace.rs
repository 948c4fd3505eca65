//! `channel_sender_pace`: how fast the sender may speak, over all processes. Each caller gets the next free moment,
//! in the order of the calls.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::text_enum::text_enum;

text_enum! {
    /// What shares a pace.
    pub enum SendStream in ["channel_sender_pace.stream"] {
        /// Everything that the sender says.
        All = "all",
        /// What it says of our own accord.
        Proactive = "proactive",
    }
}

/// A moment that was given.
#[derive(Clone, Copy, Debug, PartialEq, sqlx::FromRow)]
pub struct SendMoment {
    /// When it is; in the past or now where the stream is idle.
    pub at: DateTime<Utc>,
    /// So long from now, by the database's clock.
    pub wait_secs: f64,
}

/// Takes the next free moment of a stream that has so many each second.
pub async fn take(conn: &mut PgConnection, stream: SendStream, per_sec: f64) -> sqlx::Result<SendMoment> {
    sqlx::query_as(
        "INSERT INTO channel_sender_pace AS p (stream, free_at) VALUES ($1, clock_timestamp() + make_interval(secs => 1 / $2))
         ON CONFLICT (stream) DO UPDATE SET free_at = greatest(p.free_at, clock_timestamp()) + make_interval(secs => 1 / $2)
         RETURNING free_at - make_interval(secs => 1 / $2) AS at,
                   greatest(0, extract(epoch FROM free_at - make_interval(secs => 1 / $2) - clock_timestamp()))::FLOAT8 AS wait_secs",
    )
    .bind(stream)
    .bind(per_sec)
    .fetch_one(conn)
    .await
}
