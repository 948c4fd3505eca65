//! How fast a schedule's audience is planned in one zone and in users' own zones, beside the same rows inserted with nothing around them; and that a
//! process killed half way leaves nobody out and writes to nobody twice.
//!
//! `cargo bench --bench audience` plans 100 000 users with the real program on a durable server of its own: users who are all alike by a schedule in one
//! zone, then, on another server, users in twelve zones by one in each user's zone, whose slots all fall due at once. Each audience is planned twice; the
//! second time the program is killed with `kill -9` half way. Nothing is sent: the pool that sends is paused. `-- --users 10000` takes fewer.

mod people;
mod program;
mod raw_inserts;

use std::path::Path;

use clap::Parser;
use private_postgres::cluster::PrivatePostgres;
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

const SCHEDULE: &str = "bench";

/// Every zone's clocks show these seconds at the same moments.
const WHEN: &str = "*/20 * * * * *";

const ALIKE: &str = "Good morning, {{user.id}}. This is what the day brings.";

const BY_NAME: &str = "Good morning, {{user.name|friend}}. This is what the day brings.";

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
async fn main() -> anyhow::Result<()> {
    let users = Arguments::parse().users;
    println!("users                      {users}");
    let one = measure(users, &[]).await?;
    let own = measure(users, &people::ZONES).await?;
    println!(
        "users' zones to one zone: {:.2} of the time, {:.2} of the memory; at most 1.3 is asked",
        own.seconds / one.seconds,
        of(own.peak_bytes) / of(one.peak_bytes)
    );
    Ok(())
}

/// What it took to plan an audience.
struct Planned {
    seconds: f64,
    /// The most memory that the program had.
    peak_bytes: i64,
}

/// Plans an audience twice, the second time with a crash, and prints what it took and what it came to.
#[expect(clippy::print_stdout, reason = "a benchmark's answer")]
async fn measure(users: i64, zones: &[&str]) -> anyhow::Result<Planned> {
    let folder = tempfile::tempdir()?;
    let (postgres, pg) = program::server(folder.path()).await?;
    people::fill(&pg, users, zones).await?;
    let raw = raw_inserts::seconds(&pg, users, ALIKE).await?;
    let bench = Bench { users, postgres, pg };
    let schedules = folder.path().join("schedules");
    std::fs::create_dir_all(&schedules)?;
    let program = bench.start(&schedules).await?;
    program.command(&["jobs", "pause", "pool", "proactive"])?;
    std::fs::write(schedules.join(format!("{SCHEDULE}.toml")), schedule(zones))?;
    until(&bench.pg, "SELECT count(*) = 1 FROM channel_schedules").await?;

    let planned = bench.plan(&program).await?;
    let before = bench.crash(program, &schedules).await?;

    let slots = bench.count("SELECT count(*) / 2 FROM channel_slots").await?;
    let what = if zones.is_empty() { "one zone" } else { "users' own zones" };
    println!("{what}: slots at a moment: {slots}");
    println!("  raw inserts of the rows    {:>10.0} users/s", of(users) / raw);
    let rate = of(users) / planned.seconds;
    println!(
        "  planned by the program     {rate:>10.0} users/s   {:.2} of the raw inserts",
        raw / planned.seconds
    );
    let bytes = planned.peak_bytes / users;
    println!(
        "  peak memory of the program {:>10} MiB       {bytes} bytes a user",
        planned.peak_bytes / 1024 / 1024
    );
    println!("  killed after {before} users the second time; both times together:");
    bench.tell().await?;
    Ok(planned)
}

fn schedule(zones: &[&str]) -> String {
    let (timezone, message) = match zones.first() {
        Some(default) => (format!("\"user\"\ndefault_timezone = \"{default}\""), BY_NAME),
        None => ("\"UTC\"".to_owned(), ALIKE),
    };
    format!(
        "cron = \"{WHEN}\"\ntimezone = {timezone}\n[audience]\neveryone = true\n[content]\nmessage = \"{message}\"\n"
    )
}

struct Bench {
    users: i64,
    postgres: PrivatePostgres,
    pg: PgPool,
}

impl Bench {
    async fn start(&self, schedules: &Path) -> anyhow::Result<Program> {
        let env = [("CLOUDYBOT__SCHEDULES__DIRECTORY", schedules.to_str().unwrap_or_default())];
        Program::start(&self.postgres.url(), &env).await
    }

    async fn count(&self, question: &str) -> sqlx::Result<i64> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(question.to_owned())).fetch_one(&self.pg).await
    }

    /// Lets the schedule fall due at one moment behind this slot.
    async fn fire(&self, program: &Program, last: i64) -> anyhow::Result<()> {
        program.command(&["schedules", "enable", SCHEDULE])?;
        until(&self.pg, &format!("SELECT count(*) > 0 FROM channel_slots WHERE id > {last}")).await?;
        program.command(&["schedules", "disable", SCHEDULE])?;
        let moments = self
            .count(&format!("SELECT count(DISTINCT moment) FROM channel_slots WHERE id > {last}"))
            .await?;
        anyhow::ensure!(moments == 1, "the schedule fell due {moments} times before it was disabled");
        Ok(())
    }

    async fn plan(&self, program: &Program) -> anyhow::Result<Planned> {
        self.fire(program, 0).await?;
        self.until_done().await?;
        let seconds = "SELECT extract(epoch FROM max(finished_at) - min(fired_at))::DOUBLE PRECISION FROM channel_slots";
        let seconds = sqlx::query_scalar(seconds).fetch_one(&self.pg).await?;
        Ok(Planned { seconds, peak_bytes: i64::try_from(program.peak_memory()? * 1024)? })
    }

    /// Plans the audience with a program that is killed half way, and another one behind it. Returns how many users the first one dealt with.
    async fn crash(&self, mut program: Program, schedules: &Path) -> anyhow::Result<i64> {
        let last = self.count("SELECT max(id) FROM channel_slots").await?;
        self.fire(&program, last).await?;
        let dealt_with = format!("FROM channel_slot_users WHERE slot_id > {last}");
        until(&self.pg, &format!("SELECT count(*) > {} {dealt_with}", self.users / 2)).await?;
        program.kill()?;
        let before = self.count(&format!("SELECT count(*) {dealt_with}")).await?;
        let mut program = self.start(schedules).await?;
        self.until_done().await?;
        program.kill()?;
        Ok(before)
    }

    async fn until_done(&self) -> anyhow::Result<()> {
        until(&self.pg, "SELECT bool_and(state = 'done') FROM channel_slots").await
    }

    /// What there is in the end. An error: somebody was left out, or dealt with twice.
    #[expect(clippy::print_stdout, reason = "a benchmark's answer")]
    async fn tell(&self) -> anyhow::Result<()> {
        for (what, count) in [
            ("users dealt with", "SELECT count(*) FROM channel_slot_users"),
            ("  planned", "SELECT count(*) FROM channel_slot_users WHERE outcome = 'planned'"),
            ("deliveries", "SELECT count(*) FROM channel_deliveries"),
            ("chunks", "SELECT count(*) FROM channel_chunks"),
            ("words in conversations", "SELECT count(*) FROM channel_turns"),
            ("jobs that send", "SELECT count(*) FROM queue.jobs WHERE kind = 'send_chunk'"),
            ("reserved", "SELECT sum(reserved)::BIGINT FROM whatsapp_sends"),
        ] {
            println!("    {what:<31} {:>8}", self.count(count).await?);
        }
        for (what, count) in [
            (
                "users dealt with once each time",
                "SELECT count(*) FROM (SELECT FROM channel_slot_users JOIN channel_slots ON id = slot_id
                                       GROUP BY user_id HAVING count(*) = 2 AND count(DISTINCT moment) = 2) x",
            ),
            (
                "users with two deliveries",
                "SELECT count(*) FROM (SELECT FROM channel_deliveries GROUP BY user_id HAVING count(*) = 2) x",
            ),
        ] {
            let count = self.count(count).await?;
            println!("    {what:<31} {count:>8}");
            anyhow::ensure!(count == self.users, "{what}: {count} of {}", self.users);
        }
        Ok(())
    }
}

fn of(number: i64) -> f64 {
    f64::from(i32::try_from(number).unwrap_or(i32::MAX))
}
