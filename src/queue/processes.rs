//! The processes that work, as people see them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

/// A process that works, or has worked and was not seen to stop.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ProcessRow {
    /// What claims name it by.
    pub id: i64,
    /// Host and process id.
    pub name: String,
    /// Of the program; `None`: not told.
    pub version: Option<String>,
    /// When it claimed for the first time.
    pub started_at: DateTime<Utc>,
    /// Its last heartbeat.
    pub renewed_at: DateTime<Utc>,
    /// Whether its lease lasts.
    pub is_alive: bool,
    /// What it can run; `None`: everything.
    pub kinds: Option<Vec<String>>,
    /// The pools that it serves, each with how many of its jobs run at a time.
    pub pools: Json<BTreeMap<String, i64>>,
}

/// All of them, in the order of their starts. One that died leaves the list when another process has taken its jobs back.
pub async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<ProcessRow>> {
    sqlx::query_as(
        "SELECT id, name, version, started_at, renewed_at, lease_until > clock_timestamp() AS is_alive, kinds, pools FROM queue.workers ORDER BY id",
    )
    .fetch_all(conn)
    .await
}
