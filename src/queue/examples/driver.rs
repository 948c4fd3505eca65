//! Drives the queue from outside, one duty per process, so that any other queue can be driven beside it by one script.
//!
//! `DATABASE_URL` names an empty database; every answer is one JSON object on a line of stdout.
//!
//! ```text
//! driver setup                  makes the tables, and those of the bare statements
//! driver enqueue-batch N        N no-op jobs by the batch call, 5000 in a transaction
//! driver enqueue-single N C     N jobs by C callers, each job in a transaction of its own
//! driver produce N MS           a job every MS milliseconds
//! driver work N                 a worker process whose handlers return Ok, until stdin says a line or closes
//! driver work-completing N      the same, with handlers that write a row and complete the job in that transaction
//! driver drains N               N jobs drained by each sort of handlers, beside bare statements that do the same
//! driver pending-sql|done-sql   the statements that count unfinished and finished jobs
//! ```
#![allow(clippy::print_stdout, reason = "stdout is the driver's interface")]

#[path = "../benches/throughput/bare_drains.rs"]
mod bare_drains;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use queue::Queue;
use queue::attempt::Attempt;
use queue::connections::Connections;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::session_health::Failures;
use queue::settings::QueueSettings;
use queue::workers::{RunningWorkers, Workers};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use crate::bare_drains::BareDrain;

/// Jobs enqueued by one call of the batch form: one transaction each.
const BATCH: usize = 5000;

/// Jobs in flight in the worker: claims come in batches, and the handler costs nothing.
const CONCURRENCY: usize = 2000;

/// Connections of a worker, as many as the service has: how many of them work is the queue's to choose.
const CONNECTIONS: u32 = 10;

/// What the service runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The no-op job. `t` is when it was enqueued, in µs since the epoch, or 0.
#[derive(Serialize, Deserialize)]
struct Noop {
    id: u64,
    t: u64,
}

impl Job for Noop {
    const KIND: &'static str = "noop";
    const POOL: &'static str = "bench";
}

/// How handlers end.
#[derive(Clone, Copy)]
enum Handlers {
    /// They return `Ok`, and their worker completes them in batches.
    ReturnOk,
    /// They write a row, and complete the job in that transaction.
    Complete,
}

async fn return_ok(job: Noop, app: App, _: Attempt) -> Result<(), Failure> {
    app.tally.count(&job);
    Ok(())
}

async fn complete(job: Noop, app: App, attempt: Attempt) -> Result<(), Failure> {
    let mut tx = attempt.queue().begin(&app.pg).await?;
    sqlx::query("INSERT INTO raw.effects (job) VALUES ($1)").bind(attempt.job_id()).execute(&mut *tx).await?;
    attempt.complete_and_commit(tx).await?;
    app.tally.count(&job);
    Ok(())
}

#[derive(Clone)]
struct App {
    /// The handlers' connections.
    pg: Connections,
    tally: Arc<Tally>,
}

/// What the handler notes.
struct Tally {
    expected: usize,
    seen: Mutex<Seen>,
    all_seen: Notify,
}

#[derive(Default)]
struct Seen {
    ids: Vec<u64>,
    latencies_us: Vec<u64>,
    start_us: u64,
    handled_us: u64,
}

impl Tally {
    fn count(&self, job: &Noop) {
        let now = now_us();
        let mut seen = self.seen.lock().expect("the tally never panics");
        seen.ids.push(job.id);
        if job.t > 0 {
            seen.latencies_us.push(now.saturating_sub(job.t));
        }
        if seen.ids.len() == self.expected {
            seen.handled_us = now;
            println!("{}", json!({"ev": "handled", "t_us": now}));
            self.all_seen.notify_one();
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| -> anyhow::Result<usize> {
        let text = args
            .get(at)
            .ok_or_else(|| anyhow::anyhow!("argument {at} is missing; see the head of this file"))?;
        Ok(text.parse()?)
    };
    match args.first().map(String::as_str) {
        Some("setup") => setup().await,
        Some("enqueue-batch") => enqueue_batch(number(1)?).await,
        Some("enqueue-single") => enqueue_single(number(1)?, number(2)?).await,
        Some("produce") => produce(number(1)?, number(2)?).await,
        Some("work") => work(number(1)?, Handlers::ReturnOk).await,
        Some("work-completing") => work(number(1)?, Handlers::Complete).await,
        Some("drains") => drains(number(1)?).await,
        Some("pending-sql") => {
            println!("SELECT count(*) FROM queue.jobs");
            Ok(())
        }
        Some("done-sql") => {
            println!("SELECT count(*) FROM queue.finished");
            Ok(())
        }
        other => anyhow::bail!("unknown duty {other:?}; see the head of this file"),
    }
}

async fn setup() -> anyhow::Result<()> {
    let pg = pool(1).await?;
    sqlx::migrate!("../../migrations").run(&pg).await?;
    sqlx::raw_sql(include_str!("../../../migrations/functions.sql")).execute(&pg).await?;
    sqlx::raw_sql(bare_drains::TABLES).execute(&pg).await?;
    done(0, Duration::ZERO);
    Ok(())
}

async fn enqueue_batch(number: usize) -> anyhow::Result<()> {
    let pg = connections(1).await?;
    let queue = Queue::open(&pg, QueueSettings::default());
    let begun = Instant::now();
    let ids: Vec<u64> = (0..number as u64).collect();
    for batch in ids.chunks(BATCH) {
        let mut tx = queue.begin(&pg).await?;
        tx.enqueue_batch(batch.iter().map(|id| NewJob::of(&Noop { id: *id, t: 0 })).collect()).await?;
        tx.commit().await?;
    }
    done(number, begun.elapsed());
    Ok(())
}

async fn enqueue_single(number: usize, callers: usize) -> anyhow::Result<()> {
    let pg = connections(u32::try_from(callers)?).await?;
    let queue = Queue::open(&pg, QueueSettings::default());
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (pg, queue) = (pg.clone(), queue.clone());
            tokio::spawn(async move {
                for id in (caller..number).step_by(callers) {
                    enqueue(&queue, &pg, &Noop { id: id as u64, t: 0 }).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    done(number, begun.elapsed());
    Ok(())
}

/// One job in a transaction of its own.
async fn enqueue(queue: &Queue, pg: &Connections, job: &Noop) -> anyhow::Result<()> {
    let mut tx = queue.begin(pg).await?;
    tx.enqueue(job).await?;
    Ok(tx.commit().await?)
}

async fn produce(number: usize, every_ms: usize) -> anyhow::Result<()> {
    let pg = connections(2).await?;
    let queue = Queue::open(&pg, QueueSettings::default());
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(every_ms as u64));
    for id in 0..number as u64 {
        ticks.tick().await;
        enqueue(&queue, &pg, &Noop { id, t: now_us() }).await?;
    }
    done(number, begun.elapsed());
    // The last wake-up leaves within milliseconds of its commit; the process must live that long.
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(())
}

async fn work(number: usize, handlers: Handlers) -> anyhow::Result<()> {
    let (queue, app) = (worker_queue().await?, App::new(number).await?);
    let start_us = now_us();
    app.tally.seen.lock().expect("the tally never panics").start_us = start_us;
    println!("{}", json!({"ev": "ready", "t_us": start_us}));
    let workers = start(&queue, app.clone(), handlers).await?;
    // A line or the end of stdin: enough.
    let _ = tokio::io::stdin().read(&mut [0; 1]).await;
    workers.stop(Duration::from_secs(10)).await?;
    let seen = std::mem::take(&mut *app.tally.seen.lock().expect("the tally never panics"));
    let mut distinct = seen.ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    println!(
        "{}",
        json!({"ev": "summary", "ran": seen.ids.len(), "distinct": distinct.len(), "dups": seen.ids.len() - distinct.len(),
               "start_us": seen.start_us, "handled_us": seen.handled_us, "lat_us": seen.latencies_us})
    );
    Ok(())
}

async fn drains(number: usize) -> anyhow::Result<()> {
    let pg = pool(bare_drains::WRITERS).await?;
    for (handlers, name) in [(Handlers::ReturnOk, "return ok"), (Handlers::Complete, "complete")] {
        enqueue_batch(number).await?;
        let per_sec = drain(&pg, number, handlers).await?;
        bare_drains::fill(&pg, number).await?;
        let bare = match handlers {
            Handlers::ReturnOk => BareDrain::in_batches(&pg).await?.run(number).await?,
            Handlers::Complete => BareDrain::one_by_one(&pg).await?.run(number).await?,
        };
        println!(
            "{}",
            json!({"ev": "drain", "handlers": name, "n": number, "per_sec": per_sec, "bare_per_sec": bare, "ratio": per_sec / bare})
        );
    }
    Ok(())
}

/// Jobs a second, from the start of the workers until the last job is completed.
async fn drain(pg: &PgPool, number: usize, handlers: Handlers) -> anyhow::Result<f64> {
    sqlx::raw_sql("VACUUM ANALYZE queue.jobs").execute(pg).await?;
    let (queue, app) = (worker_queue().await?, App::new(number).await?);
    let begun = Instant::now();
    let workers = start(&queue, app.clone(), handlers).await?;
    app.tally.all_seen.notified().await;
    while sqlx::query_scalar("SELECT EXISTS (SELECT FROM queue.jobs)").fetch_one(pg).await? {
        tokio::task::yield_now().await;
    }
    let took = begun.elapsed();
    workers.stop(Duration::from_secs(10)).await?;
    Ok(number as f64 / took.as_secs_f64())
}

async fn start(queue: &Queue, app: App, handlers: Handlers) -> anyhow::Result<RunningWorkers> {
    let workers = Workers::new(queue, app).pool(Noop::POOL, CONCURRENCY, Duration::from_secs(60));
    let workers = match handlers {
        Handlers::ReturnOk => workers.register(return_ok),
        Handlers::Complete => workers.register(complete),
    };
    Ok(workers.start().await?)
}

async fn worker_queue() -> anyhow::Result<Queue> {
    let options = queue::connections::for_workers().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
    Ok(Queue::open(options.connect(&url()?).await?, QueueSettings::default()))
}

impl App {
    async fn new(expected: usize) -> anyhow::Result<Self> {
        let tally = Tally { expected, seen: Mutex::default(), all_seen: Notify::new() };
        Ok(Self { pg: connections(bare_drains::WRITERS).await?, tally: Arc::new(tally) })
    }
}

async fn pool(connections: u32) -> anyhow::Result<PgPool> {
    let options = queue::connections::options().max_connections(connections).min_connections(connections);
    Ok(options.connect(&url()?).await?)
}

/// A pool whose callers hand connections on, as those of a service do.
async fn connections(number: u32) -> anyhow::Result<Connections> {
    Ok(Connections::new(pool(number).await?, Failures::default()))
}

fn url() -> anyhow::Result<String> {
    std::env::var("DATABASE_URL").map_err(|_| anyhow::anyhow!("set DATABASE_URL to an empty database"))
}

fn done(number: usize, took: Duration) {
    println!("{}", json!({"ev": "done", "n": number, "seconds": took.as_secs_f64()}));
}

fn now_us() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "several drivers of one machine say when they began and ended"
    )]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_micros()).expect("the year 586000 is far")
}
