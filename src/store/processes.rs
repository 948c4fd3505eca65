//! `channel_processes`: the processes of the service, and what each of them does.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::text_enum::text_enum;

text_enum! {
    /// A part of the service that a process may do alone.
    pub enum Role in ["channel_processes.roles"] {
        /// It takes in Twilio's webhooks.
        Receiver = "receiver",
        /// It runs jobs.
        Workers = "workers",
        /// It fires schedules.
        Scheduler = "scheduler",
        /// It answers programs, administrators and the dashboard.
        Console = "console",
    }
}

impl Role {
    /// All of them, in the order in which a message meets them.
    pub const ALL: [Self; 4] = [Self::Receiver, Self::Workers, Self::Scheduler, Self::Console];
}

/// A process that runs.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ProcessRow {
    /// Host and process id.
    pub process: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// Of the program.
    pub version: String,
    /// When it first said so.
    pub started_at: DateTime<Utc>,
    /// When it last said so.
    pub seen_at: DateTime<Utc>,
}

/// Notes that a process runs. Those that have said nothing for an hour are forgotten.
pub async fn note(conn: &mut PgConnection, process: &str, roles: &[Role], version: &str) -> sqlx::Result<()> {
    sqlx::query(
        "WITH forgotten AS (DELETE FROM channel_processes WHERE seen_at < now() - interval '1 hour' AND process <> $1)
         INSERT INTO channel_processes (process, roles, version) VALUES ($1, $2, $3)
         ON CONFLICT (process) DO UPDATE SET roles = $2, version = $3, seen_at = clock_timestamp()",
    )
    .bind(process)
    .bind(roles)
    .bind(version)
    .execute(conn)
    .await?;
    Ok(())
}

/// A process has stopped.
pub async fn forget(conn: &mut PgConnection, process: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM channel_processes WHERE process = $1").bind(process).execute(conn).await?;
    Ok(())
}

/// Those that have said something within two minutes, in the order of their starts.
pub async fn alive(conn: &mut PgConnection) -> sqlx::Result<Vec<ProcessRow>> {
    sqlx::query_as(
        "SELECT process, roles, version, started_at, seen_at FROM channel_processes WHERE seen_at > now() - interval '2 minutes' ORDER BY started_at, process",
    )
    .fetch_all(conn)
    .await
}
