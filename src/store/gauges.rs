//! `channel_gauges`: figures of the whole database for metrics. They are read by one of all processes, every so often; the others take what it has kept.

use serde_json::Value;
use sqlx::PgConnection;

/// Takes the turn to read the figures. False: somebody else has taken it within this time. A turn is not given back: a process that dies over it is
/// followed by another after the same time.
pub async fn take_turn(conn: &mut PgConnection, every_secs: f64) -> sqlx::Result<bool> {
    let taken: Option<bool> = sqlx::query_scalar(
        "INSERT INTO channel_gauges AS g (asked_at) VALUES (clock_timestamp())
         ON CONFLICT (is_only) DO UPDATE SET asked_at = clock_timestamp()
         WHERE g.asked_at NOT BETWEEN clock_timestamp() - make_interval(secs => $1) AND clock_timestamp()
         RETURNING TRUE",
    )
    .bind(every_secs)
    .fetch_optional(conn)
    .await?;
    Ok(taken.is_some())
}

/// Keeps what was read.
pub async fn keep(conn: &mut PgConnection, figures: &Value) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_gauges SET figures = $1, read_at = clock_timestamp()")
        .bind(figures)
        .execute(conn)
        .await?;
    Ok(())
}

/// What was kept last, and how many seconds ago; `None`: nothing yet.
pub async fn kept(conn: &mut PgConnection) -> sqlx::Result<Option<(Value, f64)>> {
    sqlx::query_as(
        "SELECT figures, greatest(0, extract(epoch FROM clock_timestamp() - read_at))::DOUBLE PRECISION FROM channel_gauges WHERE figures IS NOT NULL",
    )
    .fetch_optional(conn)
    .await
}
