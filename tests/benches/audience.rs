//! How fast a schedule's audience is planned, beside the same rows inserted with nothing around them; and that a process killed half way leaves
//! nobody out and writes to nobody twice.
//!
//! `cargo bench --bench audience` plans 100 000 users twice with the real program on a durable server of its own; the second time it is killed
//! with `kill -9` half way. Nothing is sent: the pool that sends is paused. `-- --users 10000` takes fewer.

mod program;

use std::time::Instant;

use clap::Parser;
use sqlx::PgPool;

use crate::program::{Program, until};

#[derive(Parser)]
struct Arguments {
    /// How many users the audience has.
    #[arg(long, default_value_t = 100_000)]
    users: i64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Users in a transaction of the raw inserts, as the program has it.
const PAGE: i64 = 500;

const MESSAGE: &str = "Good morning, {{user.id}}. This is what the day brings.";

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
async fn main() -> anyhow::Result<()> {
    let users = Arguments::parse().users;
    let folder = tempfile::tempdir()?;
    let (postgres, pg) = program::server(folder.path()).await?;
    fill(&pg, users).await?;
    let schedules = folder.path().join("schedules");
    std::fs::create_dir_all(&schedules)?;
    let schedule =
        format!("cron = \"0 0 29 2 *\"\n[audience]\neveryone = true\n[content]\nmessage = \"{MESSAGE}\"\n");
    std::fs::write(schedules.join("bench.toml"), schedule)?;
    let env = [("CLOUDYBOT__SCHEDULES__DIRECTORY", schedules.to_str().unwrap_or_default())];

    let raw = raw(&pg, users).await?;
    let mut program = Program::start(&postgres.url(), &env).await?;
    until(&pg, "SELECT count(*) = 1 FROM channel_schedules").await?;
    program.command(&["jobs", "pause", "pool", "proactive"])?;
    program.command(&["schedules", "fire", "bench"])?;
    until(&pg, "SELECT count(*) = 1 FROM channel_slots WHERE state = 'done'").await?;
    let planned: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM finished_at - fired_at)::DOUBLE PRECISION FROM channel_slots",
    )
    .fetch_one(&pg)
    .await?;
    let peak = program.peak_memory()?;

    program.command(&["schedules", "fire", "bench"])?;
    let half = format!("SELECT count(*) > {} FROM channel_slot_users WHERE slot_id = 2", users / 2);
    until(&pg, &half).await?;
    program.kill()?;
    let before: i64 = sqlx::query_scalar("SELECT count(*) FROM channel_slot_users WHERE slot_id = 2")
        .fetch_one(&pg)
        .await?;
    let mut program = Program::start(&postgres.url(), &env).await?;
    until(&pg, "SELECT count(*) = 2 FROM channel_slots WHERE state = 'done'").await?;
    program.kill()?;

    let rate = |seconds: f64| f64::from(i32::try_from(users).unwrap_or(i32::MAX)) / seconds;
    println!("users                      {users}");
    println!("raw inserts of the rows    {:>10.0} users/s", rate(raw));
    println!(
        "planned by the program     {:>10.0} users/s   {:.2} of the raw inserts",
        rate(planned),
        raw / planned
    );
    println!("peak memory of the program {:>10} MiB", peak / 1024);
    println!("killed after {before} users of the second slot; both slots in the end:");
    for (what, count) in [
        ("users dealt with", "SELECT count(*) FROM channel_slot_users"),
        ("  planned", "SELECT count(*) FROM channel_slot_users WHERE outcome = 'planned'"),
        ("deliveries", "SELECT count(*) FROM channel_deliveries"),
        (
            "users with two deliveries",
            "SELECT count(*) FROM (SELECT FROM channel_deliveries GROUP BY user_id HAVING count(*) = 2) x",
        ),
        ("chunks", "SELECT count(*) FROM channel_chunks"),
        ("words in conversations", "SELECT count(*) FROM channel_turns"),
        ("jobs that send", "SELECT count(*) FROM queue.jobs WHERE kind = 'send_chunk'"),
        ("reserved", "SELECT sum(reserved) FROM whatsapp_sends"),
    ] {
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&pg).await?;
        println!("  {what:<28} {count:>8}");
    }
    Ok(())
}

/// Users with phones who have just written.
async fn fill(pg: &PgPool, users: i64) -> sqlx::Result<()> {
    for statement in [
        "INSERT INTO channel_users (id, plan) SELECT format('user-%s', n), 'pro' FROM generate_series(1, $1) n",
        "INSERT INTO channel_addresses (last_inbound_at) SELECT now() FROM generate_series(1, $1) n",
        "INSERT INTO channel_address_aliases (alias, canonical, address_id)
         SELECT format('whatsapp:+1%s', 2000000000 + n), format('whatsapp:+1%s', 2000000000 + n), n FROM generate_series(1, $1) n",
        "INSERT INTO channel_links (user_id, address_id) SELECT format('user-%s', n), n FROM generate_series(1, $1) n",
        "INSERT INTO channel_conversations (user_id) SELECT format('user-%s', n) FROM generate_series(1, $1) n",
    ] {
        sqlx::query(statement).bind(users).execute(pg).await?;
    }
    // Not the empty tables: a plan that was made for an empty table reads all of it, row after row, until the next ANALYZE.
    let filled = "VACUUM ANALYZE channel_users, channel_addresses, channel_address_aliases, channel_links, channel_conversations";
    for statement in [filled, "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(pg).await?;
    }
    Ok(())
}

/// Seconds for the rows that planning writes, page by page, in tables with the same indexes and checks, and nothing else: no foreign keys, no
/// triggers, no counters of conversations, and each allowance is written once. One connection writes them; the program plans two pages at a time.
async fn raw(pg: &PgPool, users: i64) -> sqlx::Result<f64> {
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
            sqlx::query(statement).bind(first).bind(users.min(first + PAGE - 1)).bind(MESSAGE).execute(&mut *tx).await?;
        }
        tx.commit().await?;
    }
    Ok(begun.elapsed().as_secs_f64())
}
