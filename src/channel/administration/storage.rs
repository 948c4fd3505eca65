//! What takes how much of the database, since when, and how long it is kept.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::retention::Retention;

/// The whole database.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageStats {
    /// All tables together, in bytes.
    pub size_bytes: i64,
    /// Each table, the largest first.
    pub tables: Vec<StorageView>,
}

/// A table with its indexes and partitions.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageView {
    /// Its name.
    pub table: String,
    /// What it takes on the disk.
    pub size_bytes: i64,
    /// How many rows it has, as the server estimates.
    pub estimated_rows: i64,
    /// The time of its oldest row that still has what goes by its age; null: it has none, or nothing of it goes.
    pub since: Option<DateTime<Utc>>,
    /// The setting that decides how long it is kept, and its value; null: it is kept for ever.
    pub kept: Option<String>,
}

/// Reads it. The figures of rows are those of the last `ANALYZE`.
pub async fn read(
    conn: &mut PgConnection,
    retention: &Retention,
    history: Duration,
) -> sqlx::Result<StorageStats> {
    let oldest = store::storage::oldest(&mut *conn).await?;
    let tables = store::storage::tables(conn).await?;
    let tables: Vec<StorageView> = tables
        .into_iter()
        .map(|table| StorageView {
            since: oldest.iter().find(|(name, _)| *name == table.name).and_then(|(_, since)| *since),
            kept: kept(&table.name, retention, history),
            table: table.name,
            size_bytes: table.bytes,
            estimated_rows: table.rows,
        })
        .collect();
    Ok(StorageStats { size_bytes: tables.iter().map(|table| table.size_bytes).sum(), tables })
}

fn kept(table: &str, retention: &Retention, history: Duration) -> Option<String> {
    let of = |key: &str, age: Duration| (!age.is_zero()).then(|| format!("{key} = {}", in_days(age)));
    match table {
        "channel_messages" | "channel_turns" | "channel_deliveries" | "channel_chunks" => {
            of("retention.texts", retention.texts).map(|setting| format!("{setting}, then without words"))
        }
        "channel_entries" | "channel_attachments" | "channel_agent_calls" | "channel_send_attempts" => {
            of("retention.texts", retention.texts)
        }
        "channel_status_callbacks" => of("retention.callbacks", retention.callbacks),
        "channel_slot_users" => of("retention.slot_users", retention.slot_users),
        "whatsapp_send_ledger" => {
            of("retention.ledger", retention.ledger).map(|setting| format!("{setting}, then its sums"))
        }
        "channel_address_aliases" | "channel_notices" => of("retention.strangers", retention.strangers)
            .map(|setting| format!("{setting}, of people who never had a user")),
        "channel_agent_outages" => of("retention.texts", retention.texts),
        "channel_claim_tokens" => of("retention.claim_tokens", retention.claim_tokens),
        "channel_sent_days" => of("retention.sent_days", retention.sent_days),
        "channel_alerts" | "channel_unusable_entries" => of("retention.alerts", retention.alerts),
        "queue.audit" => of("retention.audit", retention.audit),
        "channel_claim_tries"
        | "channel_idempotency_keys"
        | "channel_answers_by_hand"
        | "channel_dashboard_codes"
        | "channel_dashboard_sessions" => Some("1d".to_owned()),
        "channel_rate_buckets" => Some("30d".to_owned()),
        "queue.finished" | "queue.attempts" => of("queue.history", history),
        _ => None,
    }
}

/// As an operator writes it: `400d`.
fn in_days(age: Duration) -> String {
    match (age.as_secs() / 86_400, age.as_secs() % 86_400) {
        (days, 0) => format!("{days}d"),
        _ => humantime::format_duration(age).to_string(),
    }
}
