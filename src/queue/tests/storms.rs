//! Several processes at once, some of them killed, and a database that throws everybody out: every effect is there exactly once.

use std::process::Child;
use std::time::{Duration, Instant};

use queue::Queue;
use queue::attempt::Attempt;
use queue::backoff::Backoff;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::workers::Workers;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use private_postgres::test_database::TestDatabase;

use crate::support::{SCHEMA, settings};

/// No storm takes longer.
const STORM_PATIENCE: Duration = Duration::from_secs(300);

/// What a process that is asked to stop gives its running jobs.
pub(crate) const STORM_GRACE: Duration = Duration::from_secs(2);

/// Leaves one row in `effects`, in the transaction that completes it. Some attempts fail first.
#[derive(Serialize, Deserialize)]
struct Step {
    lane: String,
    number: i32,
}

impl Job for Step {
    const KIND: &'static str = "step";
    const POOL: &'static str = "storm";
    const MAX_ATTEMPTS: u16 = 1000;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(5), Duration::from_millis(40));
}

async fn step(job: Step, pg: PgPool, attempt: Attempt) -> Result<(), Failure> {
    // A second run of the lane beside this one would violate the primary key.
    let begun = sqlx::query("INSERT INTO busy (lane, by_process) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(&job.lane)
        .bind(i32::try_from(std::process::id()).unwrap_or_default())
        .execute(&pg)
        .await?;
    if begun.rows_affected() == 0 {
        sqlx::query("INSERT INTO collisions (lane, number) VALUES ($1, $2)")
            .bind(&job.lane)
            .bind(job.number)
            .execute(&pg)
            .await?;
    }
    let fails = rand::random::<f64>() < 0.1;
    let mut tx = attempt.queue().begin(&pg).await?;
    sqlx::query("DELETE FROM busy WHERE lane = $1").bind(&job.lane).execute(&mut *tx).await?;
    if fails {
        tx.commit().await?;
        return Err(Failure::retry("by chance"));
    }
    sqlx::query("INSERT INTO effects (lane, number) VALUES ($1, $2)")
        .bind(&job.lane)
        .bind(job.number)
        .execute(&mut *tx)
        .await?;
    attempt.complete_and_commit(tx).await?;
    Ok(())
}

/// A database with steps to take.
pub(crate) struct Storm {
    pub(crate) url: String,
    pub(crate) pg: PgPool,
    pub(crate) queue: Queue,
}

impl Storm {
    /// So many lanes of so many steps each.
    pub(crate) async fn new(url: &str, lanes: usize, each: i32) -> Self {
        let pool = |size| PgPoolOptions::new().max_connections(size).connect_lazy(url).unwrap();
        let (pg, queue) = (pool(4), Queue::open(pool(4), settings()));
        let storm = Self { url: url.to_owned(), pg, queue };
        storm.tables().await;
        storm.enqueue(lanes, each).await;
        storm
    }

    async fn tables(&self) {
        sqlx::raw_sql(
            "CREATE TABLE effects (at BIGINT GENERATED ALWAYS AS IDENTITY, lane TEXT, number INTEGER);
         CREATE TABLE busy (lane TEXT PRIMARY KEY, by_process INTEGER);
         CREATE TABLE collisions (lane TEXT, number INTEGER)",
        )
        .execute(&self.pg)
        .await
        .unwrap();
    }

    pub(crate) async fn enqueue(&self, lanes: usize, each: i32) {
        for number in 0..each {
            let jobs = (0..lanes).map(|lane| {
                let step = Step { lane: format!("lane {lane}"), number };
                NewJob::of(&step).lane(step.lane.clone())
            });
            let mut tx = self.queue.begin(&self.pg).await.unwrap();
            tx.enqueue_batch(jobs.collect()).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// A number of the database; `None` while it is away.
    pub(crate) async fn count(&self, sql: &'static str) -> Option<i64> {
        sqlx::query_scalar(sql).fetch_one(&self.pg).await.ok()
    }

    /// Waits until no job is live.
    pub(crate) async fn drained(&self) {
        self.until("every job has ended", async || {
            self.count("SELECT count(*) FROM queue.jobs").await == Some(0)
        })
        .await;
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < STORM_PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every step once, and in order in its lane.
    pub(crate) async fn every_step_once_in_order(&self, lanes: usize, each: i32) {
        let expected = i64::try_from(lanes).unwrap() * i64::from(each);
        assert_eq!(self.count("SELECT count(*) FROM effects").await, Some(expected));
        assert_eq!(self.count("SELECT count(DISTINCT (lane, number)) FROM effects").await, Some(expected));
        assert_eq!(
        self.count("SELECT count(*) FROM (SELECT number, lag(number) OVER (PARTITION BY lane ORDER BY at) AS before FROM effects) e WHERE before >= number").await,
        Some(0),
        "steps out of order"
    );
        assert_eq!(self.count("SELECT count(*) FROM queue.finished").await, Some(expected));
        assert_eq!(self.count("SELECT count(*) FROM queue.dead").await, Some(0));
    }
}

/// Not a test by itself: a worker in a process of its own, until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_steps() {
    let Ok(url) = std::env::var("QUEUE_STORM_DATABASE") else { return };
    let pool = |size| PgPoolOptions::new().max_connections(size).connect_lazy(&url).unwrap();
    let queue = Queue::open(pool(6), settings());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let workers = Workers::new(&queue, pool(16))
        .pool("storm", 16, Duration::from_secs(10))
        .register(step)
        .start()
        .await
        .unwrap();
    terminate.recv().await;
    workers.stop(STORM_GRACE).await.unwrap();
}

pub(crate) fn child(storm: &Storm) -> Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "storms::child_that_steps", "--nocapture"])
        .env("QUEUE_STORM_DATABASE", &storm.url)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

pub(crate) fn end(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_run_two_hundred_lanes_without_an_overlap() {
    let database = TestDatabase::create(&SCHEMA).await;
    let storm = Storm::new(database.url(), 200, 50).await;

    let processes = [child(&storm), child(&storm), child(&storm)];
    storm.drained().await;
    processes.into_iter().for_each(end);

    storm.every_step_once_in_order(200, 50).await;
    assert_eq!(storm.count("SELECT count(*) FROM collisions").await, Some(0));
}

/// One of three processes is killed every second, while they work.
async fn killed_every_second(seconds: u64, lanes: usize, each: i32) {
    let database = TestDatabase::create(&SCHEMA).await;
    let storm = Storm::new(database.url(), lanes, each).await;

    let mut processes = vec![child(&storm), child(&storm), child(&storm)];
    let begun = Instant::now();
    let mut next_kill = Duration::from_secs(1);
    while begun.elapsed() < Duration::from_secs(seconds)
        && storm.count("SELECT count(*) FROM queue.jobs").await > Some(0)
    {
        if begun.elapsed() > next_kill {
            end(processes.remove(0));
            processes.push(child(&storm));
            next_kill += Duration::from_secs(1);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    storm.drained().await;
    processes.into_iter().for_each(end);

    storm.every_step_once_in_order(lanes, each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_workers_are_killed_every_second() {
    killed_every_second(6, 100, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; run it with `cargo test -p queue --test contract -- --ignored`"]
async fn nothing_is_lost_or_doubled_while_workers_are_killed_every_second_for_half_a_minute() {
    killed_every_second(30, 300, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_throws_everybody_out_five_times_a_second_stops_nothing_for_good() {
    let database = TestDatabase::create(&SCHEMA).await;
    let storm = Storm::new(database.url(), 50, 40).await;
    let processes = [child(&storm), child(&storm)];
    // A process that finds no database at its start says so and ends.
    storm
        .until("both work", async || storm.count("SELECT count(*) FROM queue.workers").await == Some(2))
        .await;

    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        // Everybody but who says it.
        let _ = sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            .execute(&storm.pg)
            .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    storm.drained().await;
    processes.into_iter().for_each(end);

    storm.every_step_once_in_order(50, 40).await;
}
