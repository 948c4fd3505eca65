//! How long everything takes that an administrator asks, beside the same of a nearly empty database: each list under `/admin/api`, with each filter and each
//! pair of filters, as `/openapi.json` describes them; the pages under `/admin` and `/dashboard`; and how fast many jobs are tried again and cancelled.
//!
//! `cargo bench --bench full_size` fills a durable server of its own with a million people, five million messages, a million live jobs and five million that
//! have ended, about 20 GB in 15 minutes. `-- --people 20000 --messages 60000 --jobs 20000` takes less. Nothing works meanwhile: every pool is paused.

mod bulk_actions;
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
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};

use crate::bulk_actions::Action;
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

/// How many jobs are tried again and cancelled.
const ACTED_ON: [u32; 2] = [10_000, 100_000];

/// Whose dashboard is opened: the user with the long thread, and one like most.
const READERS: [&str; 2] = ["user-1", "user-7"];

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
    for (title, measured) in [("beside few jobs", &bare), ("beside all of them", &filled)] {
        println!("by a filter, {title}:");
        measured.actions.iter().for_each(|action| println!("{}", action.line()));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
fn print_questions(bare: &[(Question, Times)], filled: &[(Question, Times)]) {
    let mut rows: Vec<_> = filled.iter().collect();
    rows.sort_by_key(|(_, took)| std::cmp::Reverse(took.median()));
    let slow = rows.iter().filter(|(_, took)| took.median() > LIMIT).count();
    let mut medians: Vec<_> = rows.iter().map(|(_, took)| took.median()).collect();
    let mut answers: Vec<_> = rows.iter().flat_map(|(_, took)| took.0).collect();
    println!(
        "{} questions, each {ROUNDS} times; above {LIMIT:?}: {slow}; their medians: {}; all answers: {}",
        rows.len(),
        spread(&mut medians),
        spread(&mut answers)
    );
    println!("{:>10} {:>10}  the slowest", "full", "few rows");
    for (question, took) in rows.iter().take(SHOWN.max(slow)) {
        let beside = bare
            .iter()
            .find(|(other, _)| other.template == question.template)
            .map_or(Duration::ZERO, |(_, took)| took.median());
        println!("{:>10} {:>10}  {}", ms(took.median()), ms(beside), question.path);
    }
}

/// Half of them, 95 of 100, and the longest.
fn spread(all: &mut [Duration]) -> String {
    all.sort_unstable();
    let at =
        |percent: usize| ms(all.get(all.len() * percent / 100).or(all.last()).copied().unwrap_or_default());
    format!("median {}, p95 {}, max {}", at(50), at(95), at(100))
}

fn ms(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

/// What was found at one size.
struct Measured {
    questions: Vec<(Question, Times)>,
    actions: Vec<Action>,
}

/// How long the answers to one question took, the shortest first.
struct Times([Duration; ROUNDS]);

impl Times {
    fn median(&self) -> Duration {
        self.0[ROUNDS / 2]
    }
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
    let cookie = enter(&program.url, "/admin/login", &[("token", TOKEN), ("next", "/admin")]).await?;
    let mut questions = Vec::new();
    for question in all {
        let took = ask(&client, &program.url, &cookie, &question).await?;
        questions.push((question, took));
    }
    for user in READERS {
        let cookie = enter(&program.url, "/dashboard/enter", &[("user", user)]).await?;
        let page = |path: &str| Question { path: path.to_owned(), template: path.to_owned() };
        let took = ask(&client, &program.url, &cookie, &page("/dashboard")).await?;
        questions.push((page(&format!("/dashboard of {user}")), took));
    }
    let mut actions = Vec::new();
    for jobs in ACTED_ON {
        actions.extend(bulk_actions::measure(&client, &program.url, TOKEN, &pg, jobs).await?);
    }
    Ok(Measured { questions, actions })
}

/// The cookie of somebody whom a form lets in.
async fn enter(url: &str, path: &str, form: &[(&str, &str)]) -> anyhow::Result<String> {
    let client = Client::builder().redirect(Policy::none()).build()?;
    let answer = client.post(format!("{url}{path}")).form(form).send().await?;
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

/// How long its answers take.
async fn ask(client: &Client, url: &str, cookie: &str, question: &Question) -> anyhow::Result<Times> {
    let mut times = [Duration::ZERO; ROUNDS];
    for took in &mut times {
        let begun = Instant::now();
        let asked = client.get(format!("{url}{}", question.path)).bearer_auth(TOKEN).header(COOKIE, cookie);
        let answer = asked.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        *took = begun.elapsed();
        anyhow::ensure!(status.is_success(), "{} answered {status}: {body}", question.path);
    }
    times.sort_unstable();
    Ok(Times(times))
}
