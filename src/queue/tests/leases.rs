//! Leases: who holds a job, who has lost it, and who is to blame.

use std::time::Duration;

use queue::Queue;
use queue::attempt::{Attempt, CompleteError};
use queue::failure::Failure;
use queue::job::{Job, JobId, NewJob};
use queue::settings::QueueSettings;
use queue::workers::Workers;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::support::{Act, Bench, Deed, settings, workers};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_longer_than_its_lease_runs_once() {
    let bench = Bench::new().await;
    let both = (bench.work(4).await, bench.work(4).await);

    bench.queue.enqueue(&Act::new("long", Deed::TakeMs(3500))).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["long", "long ended"]);
    both.0.stop(Duration::from_secs(1)).await.unwrap();
    both.1.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_lost_worker_are_taken_back_and_none_is_blamed() {
    let bench = Bench::new().await;
    sqlx::query("WITH w AS (INSERT INTO queue.workers (name, lease_until) VALUES ('gone', now() - interval '1 s') RETURNING id)
                 INSERT INTO queue.jobs (max_attempts, state, kind, pool, worker_id, claim, claimed_at, payload)
                 SELECT 3, 'running', 'act', 'test', w.id, nextval('queue.claim_ids'), now(), $1 FROM w, generate_series(1, 5)")
        .bind(serde_json::to_value(Act::new("orphan", Deed::Succeed)).unwrap())
        .execute(&bench.pg)
        .await
        .unwrap();

    let workers = bench.work(8).await;
    bench.drained().await;

    assert_eq!(bench.record.all(), vec!["orphan"; 5]);
    assert_eq!(bench.count("SELECT count(*) FROM queue.finished WHERE crashes = 0 AND attempt = 1").await, 5);
    assert_eq!(bench.count("SELECT count(*) FROM queue.attempts WHERE outcome = 'crashed'").await, 5);
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers WHERE name = 'gone'").await, 0);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_worker_that_nobody_remembers_are_found() {
    let bench = Bench::new().await;
    sqlx::query("INSERT INTO queue.jobs (max_attempts, state, kind, pool, lane, suspicion, worker_id, claim, claimed_at, payload)
                 SELECT 3, 'running', 'act', 'test', 'lane ' || n, n % 2, 1000000, nextval('queue.claim_ids'), now(), $1 FROM generate_series(1, 4) n")
        .bind(serde_json::to_value(Act::new("stray", Deed::Succeed)).unwrap())
        .execute(&bench.pg)
        .await
        .unwrap();

    let soon = QueueSettings { strays_every: Duration::from_millis(200), ..settings() };
    let queue = Queue::open(bench.database.pool().await, soon);
    let workers = workers(&queue, bench.record.clone(), 8).start().await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), vec!["stray"; 4]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_an_answer_is_handed_back_though_an_earlier_claim_of_the_job_is_known() {
    let bench = Bench::new().await;
    bench.queue.enqueue(&Act::new("twice claimed", Deed::Succeed)).await.unwrap();
    let worker: i64 = sqlx::query_scalar(
        "INSERT INTO queue.workers (name, lease_until) VALUES ('test', now() + interval '1 hour') RETURNING id",
    )
    .fetch_one(&bench.pg)
    .await
    .unwrap();
    let (job, fence): (i64, i64) =
        sqlx::query_as("SELECT id, claim FROM queue.claim_jobs($1, 'test', 10, 1)")
            .bind(worker)
            .fetch_one(&bench.pg)
            .await
            .unwrap();
    let hand_back = async |fence: i64| -> i32 {
        sqlx::query_scalar("SELECT queue.hand_back_unknown($1, 'test', FALSE, ARRAY[$2], ARRAY[$3], 2)")
            .bind(worker)
            .bind(job)
            .bind(fence)
            .fetch_one(&bench.pg)
            .await
            .unwrap()
    };

    assert_eq!(hand_back(fence).await, 0);
    assert_eq!(hand_back(fence - 1).await, 1);
}

/// Adds one to a counter in the transaction that completes it, after losing its lease on the way if it is told to.
#[derive(Serialize, Deserialize)]
struct Count {
    lose_lease: bool,
}

#[derive(Clone)]
struct Counter {
    pg: PgPool,
    told: tokio::sync::mpsc::UnboundedSender<&'static str>,
}

impl Job for Count {
    const KIND: &'static str = "count";
    const POOL: &'static str = "test";
}

async fn count(job: Count, counter: Counter, attempt: Attempt) -> Result<(), Failure> {
    let mut tx = attempt.queue().begin(&counter.pg).await?;
    sqlx::query("UPDATE counter SET n = n + 1").execute(&mut *tx).await?;
    if job.lose_lease && !seen_before(&counter.pg, attempt.job_id()).await? {
        // Somebody decides that this worker is gone, while it is not.
        sqlx::query("UPDATE queue.jobs SET worker_id = NULL, claim = NULL, state = 'waiting' WHERE id = $1")
            .bind(attempt.job_id())
            .execute(&counter.pg)
            .await?;
        sqlx::query("INSERT INTO seen VALUES ($1)").bind(attempt.job_id()).execute(&counter.pg).await?;
    }
    match attempt.complete_and_commit(tx).await {
        Ok(()) => {
            let _ = counter.told.send("committed");
            Ok(())
        }
        Err(CompleteError::Lost(_)) => {
            let _ = counter.told.send("lost");
            Err(Failure::retry("lost"))
        }
        Err(error) => Err(error.into()),
    }
}

async fn seen_before(pg: &PgPool, job_id: JobId) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM seen WHERE id = $1)").bind(job_id).fetch_one(pg).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_commits_nothing() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "CREATE TABLE counter (n BIGINT); INSERT INTO counter VALUES (0); CREATE TABLE seen (id BIGINT)",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let queue = Queue::open(bench.database.pool().await, settings());
    let workers = Workers::new(&queue, Counter { pg: bench.pg.clone(), told })
        .pool("test", 4, Duration::from_secs(5))
        .register(count)
        .start()
        .await
        .unwrap();

    queue.enqueue(&Count { lose_lease: true }).await.unwrap();
    bench.drained().await;

    assert_eq!((heard.recv().await, heard.recv().await), (Some("lost"), Some("committed")));
    assert_eq!(bench.count("SELECT n FROM counter").await, 1);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_and_completion_commit_together() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "CREATE TABLE counter (n BIGINT); INSERT INTO counter VALUES (0); CREATE TABLE seen (id BIGINT)",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    let (told, _heard) = tokio::sync::mpsc::unbounded_channel();
    let queue = Queue::open(bench.database.pool().await, settings());
    let workers = Workers::new(&queue, Counter { pg: bench.pg.clone(), told })
        .pool("test", 4, Duration::from_secs(5))
        .register(count)
        .start()
        .await
        .unwrap();

    for _ in 0..50 {
        queue.enqueue(NewJob::of(&Count { lose_lease: false }).lane("counter")).await.unwrap();
    }
    bench.drained().await;

    assert_eq!(bench.count("SELECT n FROM counter").await, 50);
    assert_eq!(bench.count("SELECT count(*) FROM queue.finished").await, 50);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_lease_was_taken_comes_back_under_a_new_one() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;

    sqlx::query("DELETE FROM queue.workers").execute(&bench.pg).await.unwrap();
    bench
        .until("it has joined again", || async {
            bench.count("SELECT count(*) FROM queue.workers").await == 1
        })
        .await;
    bench.queue.enqueue(&Act::new("after", Deed::Succeed)).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["after"]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

/// Not a test by itself: the body of a child process that works until it dies.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_works() {
    let Ok(url) = std::env::var("QUEUE_CHILD_DATABASE") else { return };
    let pg = PgPool::connect(&url).await.unwrap();
    let queue = Queue::open(pg, settings());
    let running = workers(&queue, crate::support::Record::default(), 16).start().await.unwrap();
    std::future::pending::<()>().await;
    drop(running);
}

/// A worker in a process of its own.
fn child(bench: &Bench) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leases::child_that_works", "--nocapture"])
        .env("QUEUE_CHILD_DATABASE", bench.database.url())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_process_ends_dead_and_its_neighbours_are_untouched() {
    let bench = Bench::new().await;
    bench.queue.enqueue(&Act::new("killer", Deed::KillProcess)).await.unwrap();
    for n in 0..30 {
        bench.queue.enqueue(&Act::new(format!("neighbour {n}"), Deed::TakeMs(20))).await.unwrap();
    }

    let mut lives = 0;
    while bench.count("SELECT count(*) FROM queue.jobs").await > 0 {
        let mut process = child(&bench);
        lives += 1;
        let bench = &bench;
        bench
            .until("the process died or all is done", || {
                let died = process.try_wait().unwrap().is_some();
                async move { died || bench.count("SELECT count(*) FROM queue.jobs").await == 0 }
            })
            .await;
        let _ = process.kill();
        process.wait().unwrap();
        assert!(lives < 10, "the killer is never found");
    }

    assert_eq!(bench.text("SELECT reason FROM queue.dead").await, "its process died 3 times while it ran");
    assert_eq!(bench.count("SELECT count(*) FROM queue.finished WHERE payload->>'name' LIKE 'neighbour%' AND crashes = 0 AND attempt = 1").await, 30);
    assert_eq!(bench.count("SELECT count(*) FROM queue.finished WHERE kind = 'after_act'").await, 1);
}
