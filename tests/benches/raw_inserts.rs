//! The rows that planning writes, inserted with nothing around them.

use std::time::Instant;

use sqlx::PgPool;

/// Users in a transaction, as the program has it.
const PAGE: i64 = 500;

/// Seconds for the rows that planning writes, page by page, in tables with the same indexes and checks, and nothing else: no foreign keys, no
/// triggers, no counters of conversations, and each allowance is written once. One connection writes them; the program plans two pages at a time.
pub(crate) async fn seconds(pg: &PgPool, users: i64, words: &str) -> sqlx::Result<f64> {
    sqlx::raw_sql(
        "CREATE SCHEMA raw;
         CREATE TABLE raw.turns (LIKE channel_turns INCLUDING ALL); CREATE TABLE raw.sends (LIKE whatsapp_sends INCLUDING ALL);
         CREATE TABLE raw.deliveries (LIKE channel_deliveries INCLUDING ALL); CREATE TABLE raw.chunks (LIKE channel_chunks INCLUDING ALL);
         CREATE TABLE raw.ledger (LIKE whatsapp_send_ledger INCLUDING ALL); CREATE TABLE raw.jobs (LIKE queue.jobs INCLUDING ALL);
         CREATE TABLE raw.slot_users (LIKE channel_slot_users INCLUDING ALL); CREATE TABLE raw.entries (LIKE channel_entries INCLUDING ALL); CHECKPOINT",
    )
    .execute(pg)
    .await?;
    let begun = Instant::now();
    for first in (1..=users).step_by(usize::try_from(PAGE).unwrap_or(1)) {
        let mut tx = pg.begin().await?;
        for statement in [
            "INSERT INTO raw.turns (conversation_id, state, agent, slot_id, reply, finished_at) SELECT n, 'replied', 'schedule bench', 1, $3, now() FROM generate_series($1, $2) n",
            "INSERT INTO raw.entries (conversation_id, number, turn_id) SELECT n, length($3), n FROM generate_series($1, $2) n",
            "INSERT INTO raw.sends (user_id, period_start, period_end, reserved) SELECT format('user-%s', n), date_trunc('month', now()), now(), length($3) FROM generate_series($1, $2) n",
            "INSERT INTO raw.deliveries (id, user_id, address_id, link_id, period_start, purpose, text, expires_at)
             SELECT md5(n::TEXT)::UUID, format('user-%s', n), n, n, now(), 'scheduled', $3, now() FROM generate_series($1, $2) n",
            "INSERT INTO raw.chunks (delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, metering)
             SELECT md5(n::TEXT)::UUID, 0, $3, 0, 60, TRUE, TRUE, 'reserved' FROM generate_series($1, $2) n",
            "INSERT INTO raw.ledger (user_id, period_start, chunk_id, event) SELECT format('user-%s', n), now(), length($3), 'reserved' FROM generate_series($1, $2) n",
            "INSERT INTO raw.jobs (max_attempts, state, kind, pool, lane, unique_key, payload)
             SELECT 5, 'waiting', 'send_chunk', 'proactive', format('proactive:%s', n), format('chunk:%s', n), jsonb_build_object('chunk', n, 'meterProactive', TRUE, 'proactive', length($3) > 0)
             FROM generate_series($1, $2) n",
            "INSERT INTO raw.slot_users (slot_id, user_id, outcome, delivery_id) SELECT length($3), format('user-%s', n), 'planned', md5(n::TEXT)::UUID FROM generate_series($1, $2) n",
        ] {
            sqlx::query(statement).bind(first).bind(users.min(first + PAGE - 1)).bind(words).execute(&mut *tx).await?;
        }
        tx.commit().await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    // Otherwise autovacuum works on them beside the program.
    sqlx::raw_sql("DROP SCHEMA raw CASCADE; CHECKPOINT").execute(pg).await?;
    Ok(seconds)
}
