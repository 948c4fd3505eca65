//! What a year of one busy sender does to the service: the same conversations beside the data of a year and beside those of a day, with what is too old
//! taken away meanwhile, at the ordinary pace and by the default ages.
//!
//! ```text
//! cargo bench --bench year [-- --messages 500000 --days 500 --per-sec 20 --seconds 180]
//! ```
//!
//! The data are of more days than anything is kept, so that there is something of each sort to be taken away. Each size has a durable server of its own, for
//! 500,000 messages about 3 GB in 15 minutes; a slow build answers `--per-sec 5`. Each load runs twice, first with everything kept for ever. Prints what the
//! tables take before and after, how many rows were taken away in a second beside those that a hundred conversations a second make, and how long replies
//! took. While something is left in "still there", taking away has had all the time that it gets.

#[allow(dead_code, reason = "not every benchmark asks everything")]
mod program;
#[allow(dead_code, reason = "not every benchmark asks everything")]
mod twilio;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use sqlx::{AssertSqlSafe, PgPool};

use crate::program::until;
use crate::twilio::{Twilio, at_rate};

/// What a sender leaves; see the file.
const FILL: &str = include_str!("year.sql");

/// Conversations a second with which taking away must keep up.
const BUSY: f64 = 100.0;

/// A warm-up makes the plans and fills the memory.
const WARM_UP_SECS: u64 = 10;

#[derive(Parser, Clone, Copy)]
struct Arguments {
    /// How many messages people have written in all these days.
    #[arg(long, default_value_t = 500_000)]
    messages: u64,
    /// How many days that took.
    #[arg(long, default_value_t = 500)]
    days: u64,
    /// How many people there are.
    #[arg(long, default_value_t = 5_000)]
    people: u64,
    /// Conversations a second.
    #[arg(long, default_value_t = 20)]
    per_sec: u64,
    /// How long they go on.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
async fn main() -> anyhow::Result<()> {
    let all = Arguments::parse();
    anyhow::ensure!(
        all.days > 0 && all.messages >= all.people,
        "--days must be 1 at least, and each person writes once"
    );
    let a_day = Arguments { days: 1, messages: (all.messages / all.days).max(all.people), ..all };
    let day = measure(a_day).await?;
    let year = measure(all).await?;
    print_sizes(&year);
    print_pace(&year);
    println!("from a message's arrival until Twilio has its reply, at {}/s:", all.per_sec);
    for (name, size, measured) in [("a day", a_day, &day), ("a year", all, &year)] {
        for (keeping, Replies { p50, p99, number }) in
            ["nothing goes", "what is too old goes"].iter().zip(&measured.replies)
        {
            println!(
                "  beside {name:<7} ({:>7} messages of {:>3} days), {keeping:<21} p50 {p50:>6.1} ms  p99 {p99:>7.1} ms  ({number} replies)",
                size.messages, size.days
            );
        }
    }
    Ok(())
}

/// What was found at one size.
struct Measured {
    before: Tables,
    after: Tables,
    /// Rows that were made for each conversation, by table.
    made: BTreeMap<&'static str, f64>,
    /// Rows that were deleted or lost their words in a second, and how many are left for that.
    gone_a_sec: BTreeMap<&'static str, f64>,
    still_too_old: BTreeMap<&'static str, i64>,
    /// With nothing taken away, and with what is too old.
    replies: Vec<Replies>,
}

/// Bytes and rows, by table.
type Tables = BTreeMap<String, (i64, i64)>;

/// How long replies took, in milliseconds.
struct Replies {
    p50: f64,
    p99: f64,
    number: i64,
}

/// Tables of which something goes by its age, with what is counted of each: rows that are too old by the default ages, a day more where that is the rule.
const AGEING: [(&str, &str); 9] = [
    ("channel_entries", "at < now() - interval '400 days'"),
    ("channel_messages", "received_at < now() - interval '401 days' AND body <> ''"),
    ("channel_turns", "started_at < now() - interval '401 days' AND reply <> ''"),
    ("channel_agent_calls", "started_at < now() - interval '401 days'"),
    ("channel_deliveries", "created_at < now() - interval '401 days' AND text <> ''"),
    ("channel_chunks", "updated_at < now() - interval '401 days' AND body <> ''"),
    ("channel_send_attempts", "started_at < now() - interval '401 days'"),
    ("channel_status_callbacks", "received_at < now() - interval '90 days'"),
    ("whatsapp_send_ledger", "at < now() - interval '400 days'"),
];

/// Keeps all there is.
const FOR_EVER: [(&str, &str); 6] = [
    ("CLOUDYBOT__RETENTION__TEXTS", "0s"),
    ("CLOUDYBOT__RETENTION__CALLBACKS", "0s"),
    ("CLOUDYBOT__RETENTION__SLOT_USERS", "0s"),
    ("CLOUDYBOT__RETENTION__LEDGER", "0s"),
    ("CLOUDYBOT__RETENTION__STRANGERS", "0s"),
    ("CLOUDYBOT__RETENTION__AUDIT", "0s"),
];

async fn measure(size: Arguments) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let (postgres, pg) = program::server(folder.path()).await?;
    fill(&pg, size).await?;
    let before = tables(&pg).await?;
    let too_old = counts(&pg).await?;
    let mut replies = Vec::new();
    let (mut gone_a_sec, mut made) = (BTreeMap::new(), BTreeMap::new());
    for (keys, first) in [(&FOR_EVER[..], 1), (&[], 1_000_000_000)] {
        let begun = Instant::now();
        let program = twilio::program(&postgres.url(), folder.path(), keys).await?;
        let twilio = Arc::new(Twilio::new(&program, size.people, first));
        at_rate(&twilio, size.per_sec, WARM_UP_SECS).await?;
        let last: i64 =
            sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM channel_messages").fetch_one(&pg).await?;
        let inserted = inserted(&pg).await?;
        at_rate(&twilio, size.per_sec, size.seconds).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let left = counts(&pg).await?;
        until(&pg, "SELECT NOT EXISTS (SELECT FROM queue.jobs WHERE kind <> 'upkeep')").await?;
        replies.push(self::replies(&pg, last).await?);
        let inserted_after = self::inserted(&pg).await?;
        let conversations = (size.per_sec * size.seconds) as f64;
        for (table, _) in AGEING {
            let rows = inserted_after.get(table).unwrap_or(&0) - inserted.get(table).unwrap_or(&0);
            made.insert(table, rows as f64 / conversations);
            gone_a_sec.insert(table, (too_old[table] - left[table]) as f64 / seconds);
        }
    }
    let still_too_old = counts(&pg).await?;
    Ok(Measured { after: tables(&pg).await?, before, made, gone_a_sec, still_too_old, replies })
}

async fn fill(pg: &PgPool, size: Arguments) -> anyhow::Result<()> {
    let Arguments { messages, days, people, .. } = size;
    let sizes =
        format!("SET size.people = {people}; SET size.messages = {messages}; SET size.days = {days};");
    let begun = Instant::now();
    let mut conn = pg.acquire().await?;
    sqlx::raw_sql(AssertSqlSafe(sizes + FILL)).execute(&mut *conn).await?;
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut *conn).await?;
    }
    eprintln!("{messages} messages of {days} days were made in {:?}", begun.elapsed());
    Ok(())
}

async fn tables(pg: &PgPool) -> anyhow::Result<Tables> {
    sqlx::raw_sql("ANALYZE").execute(pg).await?;
    let tables = store::storage::tables(&mut *pg.acquire().await?).await?;
    Ok(tables.into_iter().map(|table| (table.name, (table.bytes, table.rows))).collect())
}

/// How many rows of each table are too old.
async fn counts(pg: &PgPool) -> anyhow::Result<BTreeMap<&'static str, i64>> {
    let mut counts = BTreeMap::new();
    for (table, is_old) in AGEING {
        let count = format!("SELECT count(*) FROM {table} WHERE {is_old}");
        counts.insert(table, sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(pg).await?);
    }
    Ok(counts)
}

/// How many rows each table has ever been given.
async fn inserted(pg: &PgPool) -> anyhow::Result<BTreeMap<String, i64>> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT relname::TEXT, n_tup_ins FROM pg_stat_user_tables").fetch_all(pg).await?;
    Ok(rows.into_iter().collect())
}

async fn replies(pg: &PgPool, after: i64) -> anyhow::Result<Replies> {
    let (at, number): (Vec<f64>, i64) = sqlx::query_as(
        "SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY (extract(epoch FROM c.accepted_at - m.received_at) * 1000)::DOUBLE PRECISION), count(*)
         FROM channel_messages m JOIN channel_deliveries d ON d.turn_id = m.turn_id JOIN channel_chunks c ON c.delivery_id = d.id
         WHERE m.id > $1 AND c.accepted_at IS NOT NULL",
    )
    .bind(after)
    .fetch_one(pg)
    .await?;
    Ok(Replies { p50: at[0], p99: at[1], number })
}

#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
fn print_sizes(measured: &Measured) {
    let in_mb = |bytes: i64| bytes as f64 / 1e6;
    let all = |tables: &Tables| in_mb(tables.values().map(|(bytes, _)| bytes).sum());
    println!("{:<28} {:>9} {:>9}   {:>10} {:>10}", "table", "MB before", "after", "rows", "after");
    let mut rows: Vec<_> = measured.before.iter().filter(|(_, (bytes, _))| *bytes > 1_000_000).collect();
    rows.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    for (table, (bytes, rows)) in rows {
        let (bytes_after, rows_after) = measured.after.get(table).copied().unwrap_or_default();
        println!(
            "{table:<28} {:>9.0} {:>9.0}   {rows:>10} {rows_after:>10}",
            in_mb(*bytes),
            in_mb(bytes_after)
        );
    }
    println!("{:<28} {:>9.0} {:>9.0}", "all", all(&measured.before), all(&measured.after));
}

/// Whether what is too old goes as fast as new rows come.
#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
fn print_pace(measured: &Measured) {
    println!(
        "{:<28} {:>9} {:>12}   {:>22}",
        "goes by its age", "rows /s", "still there", "made by 100 /s, rows /s"
    );
    for (table, gone) in &measured.gone_a_sec {
        let left = measured.still_too_old[table];
        println!("{table:<28} {gone:>9.0} {left:>12}   {:>22.0}", BUSY * measured.made[table]);
    }
    let gone: f64 = measured.gone_a_sec.values().sum();
    let made: f64 = BUSY * measured.made.values().sum::<f64>();
    println!("{:<28} {gone:>9.0} {:>12}   {made:>22.0}   {:.1} times as fast", "all", "", gone / made);
}
