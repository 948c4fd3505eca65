//! How long everything takes that an administrator asks, beside the same of a nearly empty database: each list under `/admin/api`, with each filter and each
//! pair of filters, as `/openapi.json` describes them; the pages under `/admin`; and how fast many jobs are cancelled.
//!
//! `cargo bench --bench full_size` fills a durable server of its own with a million people, five million messages, a million live jobs and five million that
//! have ended, about 20 GB in 15 minutes. `-- --people 20000 --messages 60000 --jobs 20000` takes less. Nothing works meanwhile: every pool is paused.

#[allow(dead_code, reason = "not every benchmark asks everything")]
mod program;
mod questions;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use reqwest::Client;
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::program::Program;
use crate::questions::Question;

/// The token of administrators.
const TOKEN: &str = "of administrators";

/// Rows as after years; see the file.
const FILL: &str = include_str!("../../src/store/tests/plans/fill.sql");

/// The pools of the service.
const POOLS: [&str; 7] =
    ["inbound", "conversation", "prompts", "replies", "proactive", "callbacks", "upkeep"];

/// How often each question is asked.
const ROUNDS: usize = 5;

/// What an answer may take.
const LIMIT: Duration = Duration::from_millis(50);

/// How many of the slowest are shown.
const SHOWN: usize = 25;

#[derive(Parser, Clone)]
struct Arguments {
    /// How many people there are.
    #[arg(long, default_value_t = 1_000_000)]
    people: u32,
    /// How many messages they have written; every 25th is in one thread.
    #[arg(long, default_value_t = 5_000_000)]
    messages: u32,
    /// How many jobs live.
    #[arg(long, default_value_t = 1_000_000)]
    jobs: u32,
    /// Where the filled server stays, to be asked again without filling it; it is taken away by hand.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
async fn main() -> anyhow::Result<()> {
    let full = Arguments::parse();
    let small = Arguments { people: 50, messages: 200, jobs: 100, keep: None, bench: false };
    let bare = measure(&small).await?;
    println!("{} people, {} messages, {} live jobs", full.people, full.messages, full.jobs);
    let filled = measure(&full).await?;
    print_questions(&bare.questions, &filled.questions);
    let per_second = |measured: &Measured| f64::from(measured.cancelled) / measured.seconds;
    println!(
        "{} jobs cancelled by a filter: {:.0} /s; of few: {:.0} /s",
        filled.cancelled,
        per_second(&filled),
        per_second(&bare)
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
fn print_questions(bare: &[(Question, Duration)], filled: &[(Question, Duration)]) {
    let mut rows: Vec<_> = filled.iter().collect();
    rows.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    let slow = rows.iter().filter(|(_, took)| *took > LIMIT).count();
    let median = rows.get(rows.len() / 2).map_or(Duration::ZERO, |(_, took)| *took);
    println!(
        "{} questions, each {ROUNDS} times; the median of all {}, above {LIMIT:?}: {slow}",
        rows.len(),
        ms(median)
    );
    println!("{:>10} {:>10}  the slowest", "full", "few rows");
    for (question, took) in rows.iter().take(SHOWN.max(slow)) {
        let beside = bare
            .iter()
            .find(|(other, _)| other.template == question.template)
            .map_or(Duration::ZERO, |(_, took)| *took);
        println!("{:>10} {:>10}  {}", ms(*took), ms(beside), question.path);
    }
}

fn ms(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

/// What was found at one size.
struct Measured {
    questions: Vec<(Question, Duration)>,
    /// Jobs that were cancelled by a filter …
    cancelled: u32,
    /// … and the seconds that it took.
    seconds: f64,
}

async fn measure(size: &Arguments) -> anyhow::Result<Measured> {
    let scratch = tempfile::tempdir()?;
    let folder = size.keep.as_deref().unwrap_or(scratch.path());
    let (postgres, pg) = program::server(folder).await?;
    let is_filled = "SELECT EXISTS (SELECT FROM channel_users)";
    if !sqlx::query_scalar::<_, bool>(is_filled).fetch_one(&pg).await? {
        fill(&pg, size).await?;
    }
    let url = postgres.url();
    let program = Program::start(&url, &[("CLOUDYBOT_ADMIN_TOKEN", TOKEN)]).await?;
    let client = Client::builder().timeout(Duration::from_secs(300)).build()?;

    let description: Value = client.get(format!("{}/openapi.json", program.url)).send().await?.json().await?;
    let mut all = questions::all(&description, &pg).await?;
    let pages = questions::pages(&all, &pg).await?;
    all.extend(pages);
    let cookie = log_in(&program.url).await?;
    let mut questions = Vec::new();
    for question in all {
        let took = median(&client, &program.url, &cookie, &question).await?;
        questions.push((question, took));
    }
    let begun = Instant::now();
    let cancelled = cancel(&client, &program.url).await?;
    Ok(Measured { questions, cancelled, seconds: begun.elapsed().as_secs_f64() })
}

/// The cookie of an administrator who has logged in.
async fn log_in(url: &str) -> anyhow::Result<String> {
    let client = Client::builder().redirect(Policy::none()).build()?;
    let form = [("token", TOKEN), ("next", "/admin")];
    let answer = client.post(format!("{url}/admin/login")).form(&form).send().await?;
    let cookie = answer.headers().get(SET_COOKIE).context("nobody was logged in")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

async fn fill(pg: &PgPool, size: &Arguments) -> anyhow::Result<()> {
    let Arguments { people, messages, jobs, .. } = size;
    let sizes = format!(
        "SET size.people = {people}; SET size.messages = {messages}; SET size.share = 25; SET size.jobs = {jobs};"
    );
    let mut conn = pg.acquire().await?;
    sqlx::raw_sql(AssertSqlSafe(sizes + FILL)).execute(&mut *conn).await?;
    for pool in POOLS {
        sqlx::query("INSERT INTO queue.pauses (scope, name, paused_by) VALUES ('pool', $1, 'the benchmark') ON CONFLICT DO NOTHING")
            .bind(pool)
            .execute(&mut *conn)
            .await?;
    }
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut *conn).await?;
    }
    Ok(())
}

/// How long an answer takes.
async fn median(client: &Client, url: &str, cookie: &str, question: &Question) -> anyhow::Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let asked = client.get(format!("{url}{}", question.path)).bearer_auth(TOKEN).header(COOKIE, cookie);
        let answer = asked.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        took.push(begun.elapsed());
        anyhow::ensure!(status.is_success(), "{} answered {status}: {body}", question.path);
    }
    took.sort_unstable();
    Ok(took[ROUNDS / 2])
}

/// Cancels all jobs of a kind that are scheduled; returns how many.
async fn cancel(client: &Client, url: &str) -> anyhow::Result<u32> {
    let mut request = json!({ "kind": "answer", "state": "scheduled" });
    let mut jobs = 0;
    loop {
        let asked = client.post(format!("{url}/admin/api/jobs/cancel")).bearer_auth(TOKEN).json(&request);
        let answer = asked.send().await?;
        let status = answer.status();
        let told: Value = answer.json().await?;
        anyhow::ensure!(status.is_success(), "cancel: {status}: {told}");
        jobs += u32::try_from(told["outcomes"].as_array().map_or(0, Vec::len))?;
        if told["next"].is_null() {
            break;
        }
        request["after"] = told["next"].clone();
    }
    // A server that was kept may have none left.
    Ok(jobs)
}
