//! `channel_schedulers`: which process has which version of the schedules' files.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// A process that fires schedules.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct SchedulerRow {
    /// Host and process id.
    pub process: String,
    /// Of everything it has loaded.
    pub set_hash: String,
    /// Of each schedule by name.
    pub hashes: Value,
    /// Of tzdata: by whose time zone rules it fires.
    pub zone_release: String,
    /// When it last said so.
    pub seen_at: DateTime<Utc>,
}

/// Notes what a process has loaded. Those that have said nothing for an hour are forgotten.
pub async fn note(
    conn: &mut PgConnection,
    process: &str,
    set_hash: &str,
    hashes: &Value,
    zone_release: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "WITH forgotten AS (DELETE FROM channel_schedulers WHERE seen_at < now() - interval '1 hour' AND process <> $1)
         INSERT INTO channel_schedulers (process, set_hash, hashes, zone_release) VALUES ($1, $2, $3, $4)
         ON CONFLICT (process) DO UPDATE SET set_hash = $2, hashes = $3, zone_release = $4, seen_at = clock_timestamp()",
    )
    .bind(process)
    .bind(set_hash)
    .bind(hashes)
    .bind(zone_release)
    .execute(conn)
    .await?;
    Ok(())
}

/// A process has stopped.
pub async fn forget(conn: &mut PgConnection, process: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM channel_schedulers WHERE process = $1").bind(process).execute(conn).await?;
    Ok(())
}

/// Those that have said something within two minutes.
pub async fn alive(conn: &mut PgConnection) -> sqlx::Result<Vec<SchedulerRow>> {
    sqlx::query_as(
        "SELECT process, set_hash, hashes, zone_release, seen_at FROM channel_schedulers WHERE seen_at > now() - interval '2 minutes' ORDER BY process",
    )
    .fetch_all(conn)
    .await
}
