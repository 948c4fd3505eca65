//! How fast messages come in, and how soon they are answered.
//!
//! ```text
//! cargo bench --bench inbound [-- --seconds 10]
//! ```
//!
//! The real program runs on a durable server of its own; this process is Twilio. First the way in alone: signed webhooks as fast as they are
//! answered, beside `pgbench` committing the same two rows in turns, then at half of that rate. Then a conversation: 50 messages a second from linked
//! people with the echo agent, until the sandbox has taken each reply in, step by step as the database's clock saw it.

mod program;
mod twilio;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use private_postgres::cluster::PrivatePostgres;
use sqlx::PgPool;

use crate::program::until;
use crate::twilio::{Twilio, at_rate};

#[derive(Parser)]
struct Arguments {
    /// How long each measurement takes.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Clients of the way in: a few, and as many as Twilio opens in a burst.
const CLIENTS: [usize; 2] = [16, 64];
/// pgbench's clients: with more it is slower on two cores.
const PGBENCH_CLIENTS: usize = 16;
const PEOPLE: u64 = 500;
const CHATS_PER_SEC: u64 = 50;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
async fn main() -> anyhow::Result<()> {
    let seconds = Arguments::parse().seconds;
    let folder = tempfile::tempdir()?;
    let (postgres, pg) = program::server(folder.path()).await?;
    people(&pg).await?;
    let program = twilio::program(&postgres.url(), folder.path(), &[]).await?;
    let twilio = Arc::new(Twilio::new(&program, PEOPLE, 1));

    program.command(&["jobs", "pause", "pool", "inbound"])?;
    let (mut webhooks, mut commits) = (CLIENTS.map(|_| Vec::new()), Vec::new());
    for _ in 0..3 {
        commits.push(pgbench(&postgres, &pg, folder.path(), seconds)?);
        for (clients, rates) in CLIENTS.iter().zip(&mut webhooks) {
            rates.push(as_fast_as_possible(&twilio, *clients, seconds).await?);
        }
    }
    let limit = median(commits);
    let mut top = 0.0;
    for (clients, rates) in CLIENTS.iter().zip(webhooks) {
        top = median(rates);
        println!(
            "signed webhooks by {clients} clients    {top:>8.0} /s   {:.2} of pgbench's {limit:.0} /s",
            top / limit
        );
    }
    let half = at_rate(&twilio, (top / 2.0) as u64, seconds).await?;
    println!("at half of that                  p50 {:.1} ms, p99 {:.1} ms", half.p50, half.p99);

    sqlx::raw_sql("TRUNCATE queue.jobs; CHECKPOINT").execute(&pg).await?;
    program.command(&["jobs", "resume", "pool", "inbound"])?;
    let first: i64 =
        sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM channel_messages").fetch_one(&pg).await?;
    at_rate(&twilio, CHATS_PER_SEC, seconds).await?;
    until(&pg, "SELECT NOT EXISTS (SELECT FROM queue.jobs WHERE kind <> 'upkeep')").await?;
    println!("from a message's arrival until Twilio has its reply, at {CHATS_PER_SEC}/s:");
    steps(&pg, first).await
}

/// Where the time goes, by the database's clock.
#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
async fn steps(pg: &PgPool, after: i64) -> anyhow::Result<()> {
    for (step, from, to) in [
        ("stored → decided on (receive_message)", "m.received_at", "m.accepted_at"),
        ("→ the turn is open (answer)", "m.accepted_at", "t.started_at"),
        ("→ the reply is stored", "t.started_at", "t.finished_at"),
        ("→ Twilio is asked (send_chunk)", "t.finished_at", "a.started_at"),
        ("→ Twilio has it, and we know", "a.started_at", "c.accepted_at"),
        ("all of it", "m.received_at", "c.accepted_at"),
    ] {
        let sql = format!(
            "SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY (extract(epoch FROM {to} - {from}) * 1000)::DOUBLE PRECISION), count(*)
             FROM channel_messages m JOIN channel_turns t ON t.id = m.turn_id JOIN channel_deliveries d ON d.turn_id = t.id
             JOIN channel_chunks c ON c.delivery_id = d.id JOIN channel_send_attempts a ON a.chunk_id = c.id AND a.attempt = 1
             WHERE m.id > $1 AND c.accepted_at IS NOT NULL"
        );
        let (at, counted): (Vec<f64>, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(after).fetch_one(pg).await?;
        println!("  {step:<40} p50 {:>6.1} ms  p99 {:>6.1} ms  ({counted} replies)", at[0], at[1]);
    }
    Ok(())
}

/// People whose phones are linked.
async fn people(pg: &PgPool) -> sqlx::Result<()> {
    for statement in [
        "INSERT INTO channel_users (id, plan) SELECT format('user-%s', n), 'pro' FROM generate_series(1, $1) n",
        "INSERT INTO channel_addresses (last_inbound_at) SELECT now() FROM generate_series(1, $1) n",
        "INSERT INTO channel_address_aliases (alias, canonical, address_id)
         SELECT format('whatsapp:+1%s', 2000000000 + n), format('whatsapp:+1%s', 2000000000 + n), n FROM generate_series(1, $1) n",
        "INSERT INTO channel_links (user_id, address_id) SELECT format('user-%s', n), n FROM generate_series(1, $1) n",
    ] {
        sqlx::query(statement).bind(i64::try_from(PEOPLE).unwrap_or(1)).execute(pg).await?;
    }
    sqlx::raw_sql("VACUUM ANALYZE channel_users, channel_addresses, channel_address_aliases, channel_links")
        .execute(pg)
        .await?;
    Ok(())
}

/// The two rows of a webhook, a commit each time, by clients of the server's own; in a second.
fn pgbench(
    postgres: &PrivatePostgres,
    pg: &PgPool,
    folder: &std::path::Path,
    seconds: u64,
) -> anyhow::Result<f64> {
    let script = folder.join("two_rows.sql");
    std::fs::write(
        &script,
        "BEGIN;\n\
         INSERT INTO raw.messages (sid, address_id, body, params) VALUES (gen_random_uuid()::TEXT, 1, 'Hello', '{\"Body\": \"Hello\", \"From\": \"whatsapp:+15005550100\", \"NumMedia\": \"0\", \"ProfileName\": \"Somebody\", \"WaId\": \"15005550100\"}');\n\
         INSERT INTO raw.jobs (max_attempts, state, kind, pool, lane, payload) VALUES (12, 'waiting', 'receive_message', 'inbound', gen_random_uuid()::TEXT, '{\"message\": 1}');\n\
         COMMIT;\n",
    )?;
    let tables = "CREATE SCHEMA IF NOT EXISTS raw; DROP TABLE IF EXISTS raw.messages, raw.jobs;
         CREATE TABLE raw.messages (LIKE channel_messages INCLUDING ALL); CREATE TABLE raw.jobs (LIKE queue.jobs INCLUDING ALL); CHECKPOINT";
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(sqlx::raw_sql(tables).execute(pg))
    })?;
    // Beside the server, whose folder is not on every PATH.
    let psql = postgres.psql_line();
    let psql = psql.split_whitespace().next().context("there is no psql")?;
    let pgbench = std::path::Path::new(psql).with_file_name("pgbench");
    let output = std::process::Command::new(pgbench)
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={PGBENCH_CLIENTS}"))
        .arg(format!("--time={seconds}"))
        .arg("--file")
        .arg(&script)
        .arg(postgres.url())
        .output()
        .context("pgbench cannot be run; it comes with PostgreSQL's server or contrib package")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let per_sec =
        told.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    per_sec.with_context(|| format!("pgbench said: {told}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Webhooks a second with so many clients, each sending the next one when it has its answer.
async fn as_fast_as_possible(twilio: &Arc<Twilio>, clients: usize, seconds: u64) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let clients = (0..clients).map(|_| {
        let twilio = twilio.clone();
        tokio::spawn(async move {
            let mut sent = 0;
            while begun.elapsed() < Duration::from_secs(seconds) {
                twilio.send().await?;
                sent += 1;
            }
            anyhow::Ok(sent)
        })
    });
    let mut sent = 0;
    for client in futures::future::join_all(clients).await {
        sent += client??;
    }
    Ok(f64::from(sent) / begun.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
