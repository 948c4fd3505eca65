//! `channel_cursors`: how far periodic work has come.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// The database's clock.
pub async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(conn).await
}

/// Everything before this moment is done; now, if nothing was ever done.
pub async fn get(conn: &mut PgConnection, name: &str) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query("INSERT INTO channel_cursors (name, moment) VALUES ($1, now()) ON CONFLICT DO NOTHING")
        .bind(name)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar("SELECT moment FROM channel_cursors WHERE name = $1").bind(name).fetch_one(conn).await
}

/// Moves a cursor forward.
pub async fn advance(conn: &mut PgConnection, name: &str, moment: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_cursors SET moment = $2 WHERE name = $1 AND moment < $2")
        .bind(name)
        .bind(moment)
        .execute(conn)
        .await?;
    Ok(())
}
