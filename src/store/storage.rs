//! What takes how much of the database, and since when there is something of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A table with all that belongs to it: indexes, long values, partitions.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct TableSize {
    /// Its name, with the schema where that is not `public`.
    pub name: String,
    /// What it takes on the disk.
    pub bytes: i64,
    /// How many rows it has, as the server estimates.
    pub rows: i64,
}

/// All tables, the largest first.
pub async fn tables(conn: &mut PgConnection) -> sqlx::Result<Vec<TableSize>> {
    sqlx::query_as(
        "SELECT CASE WHEN n.nspname = 'queue' THEN 'queue.' ELSE '' END || coalesce(p.relname, c.relname) AS name,
                sum(pg_total_relation_size(c.oid))::BIGINT AS bytes, sum(greatest(c.reltuples, 0))::BIGINT AS rows
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
         WHERE n.nspname IN ('public', 'queue') AND c.relkind = 'r' GROUP BY 1 ORDER BY 2 DESC, 1",
    )
    .fetch_all(conn)
    .await
}

/// The times of the oldest rows of a table that still have what goes by its age.
pub async fn oldest(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, Option<DateTime<Utc>>)>> {
    sqlx::query_as(
        "SELECT 'channel_messages', (SELECT received_at FROM channel_messages
             WHERE id > (SELECT next_id FROM channel_retention WHERE part = 'messages') ORDER BY id LIMIT 1)
         UNION ALL SELECT 'channel_turns', (SELECT started_at FROM channel_turns
             WHERE id > (SELECT next_id FROM channel_retention WHERE part = 'turns') ORDER BY id LIMIT 1)
         UNION ALL SELECT 'channel_deliveries', (SELECT created_at FROM channel_deliveries
             WHERE id > (SELECT next_delivery FROM channel_retention WHERE part = 'deliveries') ORDER BY id LIMIT 1)
         UNION ALL SELECT 'whatsapp_send_ledger', (SELECT at FROM whatsapp_send_ledger ORDER BY id LIMIT 1)
         UNION ALL SELECT 'channel_claim_tokens', (SELECT created_at FROM channel_claim_tokens ORDER BY id LIMIT 1)
         UNION ALL SELECT 'channel_sent_days', (SELECT day::TIMESTAMP AT TIME ZONE 'UTC' FROM channel_sent_days ORDER BY day LIMIT 1)
         UNION ALL SELECT 'channel_alerts', (SELECT opened_at FROM channel_alerts ORDER BY id LIMIT 1)
         UNION ALL SELECT 'channel_unusable_entries', (SELECT first_seen_at FROM channel_unusable_entries ORDER BY id LIMIT 1)
         UNION ALL SELECT 'channel_agent_outages', (SELECT opened_at FROM channel_agent_outages ORDER BY id LIMIT 1)
         UNION ALL SELECT 'queue.audit', (SELECT at FROM queue.audit ORDER BY id LIMIT 1)
         UNION ALL SELECT 'channel_status_callbacks', (SELECT received_at FROM channel_status_callbacks ORDER BY id LIMIT 1)
         UNION ALL SELECT 'channel_slot_users', (SELECT fired_at FROM channel_slots
             WHERE id > (SELECT next_id FROM channel_retention WHERE part = 'slot_users') ORDER BY id LIMIT 1)",
    )
    .fetch_all(conn)
    .await
}
