//! Who is woken when, and what it costs to wait.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use queue::Queue;
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::settings::QueueSettings;
use queue::workers::{RunningWorkers, Workers};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgListener;
use sqlx::{Connection as _, PgConnection};

use crate::support::{Bench, PATIENCE};

/// Notes how much later than its time it starts.
#[derive(Serialize, Deserialize)]
struct Due {
    at: DateTime<Utc>,
}

#[derive(Clone, Default)]
struct Lateness(Arc<Mutex<Vec<TimeDelta>>>);

impl Job for Due {
    const KIND: &'static str = "due";
    const POOL: &'static str = "due";
}

async fn due(job: Due, lateness: Lateness, _: Attempt) -> Result<(), Failure> {
    lateness.0.lock().unwrap().push(Utc::now() - job.at);
    Ok(())
}

impl Lateness {
    async fn of(&self, jobs: usize) -> Vec<TimeDelta> {
        let all = async {
            while self.0.lock().unwrap().len() < jobs {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("every job starts");
        let mut late = self.0.lock().unwrap().clone();
        late.sort();
        late
    }
}

/// A worker that polls so seldom that only being woken explains that a job starts at all.
async fn worker(bench: &Bench) -> (Queue, Lateness, RunningWorkers) {
    let settings = QueueSettings { poll: Duration::from_secs(3600), ..QueueSettings::default() };
    let queue = Queue::open(bench.database.pool().await, settings);
    let lateness = Lateness::default();
    let workers = Workers::new(&queue, lateness.clone())
        .pool("due", 20, Duration::from_secs(10))
        .pool("inbound", 4, Duration::from_secs(10))
        .pool("conversation", 4, Duration::from_secs(10))
        .pool("replies", 4, Duration::from_secs(10))
        .pool("proactive", 4, Duration::from_secs(10))
        .register(due)
        .start()
        .await
        .unwrap();
    (queue, lateness, workers)
}

fn due_in(milliseconds: i64) -> NewJob {
    let at = Utc::now() + TimeDelta::milliseconds(milliseconds);
    NewJob::of(&Due { at }).run_at(at)
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_the_future_start_without_a_poll_and_not_too_early() {
    let bench = Bench::new().await;
    let (queue, lateness, workers) = worker(&bench).await;

    for number in 0..20 {
        queue.enqueue(due_in(400 + 53 * number)).await.unwrap();
    }
    // One that comes from another process, and is due before those that are known.
    bench.queue.enqueue(due_in(200)).await.unwrap();

    let late = lateness.of(21).await;
    println!(
        "late by {} ms at most, {} ms in the middle",
        late[20].num_milliseconds(),
        late[10].num_milliseconds()
    );
    // That they start without a poll says that each was waited for; how late they are is the machine's, and the benchmarks' to tell.
    assert!(late[0] >= TimeDelta::zero(), "too early: {late:?}");
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_process_starts_without_a_poll() {
    let bench = Bench::new().await;
    let (_queue, lateness, workers) = worker(&bench).await;

    let at = Utc::now();
    bench.queue.enqueue(&Due { at }).await.unwrap();

    lateness.of(1).await;
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_jobs_at_a_time_others_are_told_at_most_every_two_milliseconds() {
    let bench = Bench::new().await;
    let mut listener = PgListener::connect(bench.database.url()).await.unwrap();
    listener.listen("queue").await.unwrap();

    let begun = Instant::now();
    for _ in 0..200 {
        bench.queue.enqueue(&Due { at: Utc::now() }).await.unwrap();
    }
    bench.queue.flush_notifications().await;
    let most = 2 + begun.elapsed().as_millis() / 2;

    sqlx::query("NOTIFY queue, 'the end'").execute(&bench.pg).await.unwrap();
    let mut told = Vec::new();
    loop {
        let notification = tokio::time::timeout(PATIENCE, listener.recv()).await.unwrap().unwrap();
        if notification.payload() == "the end" {
            break;
        }
        told.push(notification.payload().to_owned());
    }
    assert!((1..=most).contains(&(told.len() as u128)), "{} times in {:?}", told.len(), begun.elapsed());
    assert!(told.iter().all(|one| one.ends_with("|due")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_process_that_ends_starts_without_a_poll() {
    let bench = Bench::new().await;
    let (_queue, lateness, workers) = worker(&bench).await;

    let url = bench.database.url().to_owned();
    let short_lived = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let queue = Queue::open(sqlx::PgPool::connect(&url).await.unwrap(), QueueSettings::default());
            // The second one may come while the others are being told of the first.
            queue.enqueue(&Due { at: Utc::now() }).await.unwrap();
            queue.enqueue(&Due { at: Utc::now() }).await.unwrap();
            queue.flush_notifications().await;
        });
    };
    tokio::task::spawn_blocking(short_lived).await.unwrap();

    lateness.of(2).await;
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_process_asks_less_than_twice_a_second() {
    let bench = Bench::new().await;
    let queue = Queue::open(bench.database.pool().await, QueueSettings::default());
    let workers = Workers::new(&queue, Lateness::default())
        .pool("due", 20, Duration::from_secs(10))
        .pool("inbound", 4, Duration::from_secs(10))
        .pool("conversation", 4, Duration::from_secs(10))
        .pool("replies", 4, Duration::from_secs(10))
        .pool("proactive", 4, Duration::from_secs(10))
        .register(due)
        .start()
        .await
        .unwrap();
    // Counted from another database, so that counting is not counted.
    let options = bench.database.connect_options();
    let database = options.get_database().unwrap().to_owned();
    let mut other = PgConnection::connect_with(&options.clone().database("postgres")).await.unwrap();
    bench.pg.close().await;
    let mut transactions = async || -> i64 {
        sqlx::query_scalar("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1")
            .bind(&database)
            .fetch_one(&mut other)
            .await
            .unwrap()
    };

    // Sessions tell their statistics with a delay of up to ten seconds, so the count begins when the start has been told.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before = transactions().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = transactions().await - before;

    println!("{asked} transactions in ten seconds of idleness");
    assert!(asked > 0, "statistics are told");
    assert!(asked < 20, "{asked} transactions in ten seconds");
    workers.stop(Duration::from_secs(1)).await.unwrap();
}
