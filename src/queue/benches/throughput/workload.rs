//! The queue at work on jobs that do next to nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use queue::attempt::Attempt;
use queue::connections::Connections;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::session_health::Failures;
use queue::workers::Workers;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::bare_drains;
use crate::measuring::{Drained, Measuring};
use crate::server::Server;

/// Jobs in flight: claims come in batches, and the handler costs nothing.
const CONCURRENCY: usize = 2000;

/// Connections of a worker, as many as the service has: how many of them work is the queue's to choose.
const CONNECTIONS: u32 = 10;

/// Whether jobs stand in lanes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// They do not.
    None,
    /// Each in one of its own.
    Own,
}

#[derive(Serialize, Deserialize)]
struct Noop {
    id: usize,
}

impl Job for Noop {
    const KIND: &'static str = "noop";
    const POOL: &'static str = "bench";
}

/// How handlers end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handlers {
    /// They return `Ok`, and their worker completes them in batches.
    ReturnOk,
    /// They write a row, and complete the job in that transaction.
    Complete,
}

async fn return_ok(job: Noop, app: App, _: Attempt) -> Result<(), Failure> {
    app.tally.count(job.id);
    Ok(())
}

async fn complete(job: Noop, app: App, attempt: Attempt) -> Result<(), Failure> {
    let mut tx = attempt.queue().begin(&app.pg).await?;
    sqlx::query("INSERT INTO raw.effects (job) VALUES ($1)").bind(attempt.job_id()).execute(&mut *tx).await?;
    attempt.complete_and_commit(tx).await?;
    app.tally.count(job.id);
    Ok(())
}

#[derive(Clone)]
struct App {
    /// The handlers' connections.
    pg: Connections,
    tally: Arc<Tally>,
}

/// How often each job ran.
struct Tally {
    runs: Vec<AtomicU8>,
    ran: AtomicUsize,
    all_ran: Notify,
}

impl Tally {
    fn count(&self, id: usize) {
        self.runs[id].fetch_add(1, Ordering::Relaxed);
        if self.ran.fetch_add(1, Ordering::Relaxed) + 1 == self.runs.len() {
            self.all_ran.notify_one();
        }
    }
}

/// All jobs, so many in a transaction.
pub(crate) async fn enqueue_batches(server: &Server, jobs: usize, batch: usize) -> anyhow::Result<f64> {
    server.clear().await?;
    let pg = Connections::new(server.pool(1).await?, Failures::default());
    let queue = server.queue(1).await?;
    let begun = Instant::now();
    let ids: Vec<usize> = (0..jobs).collect();
    for ids in ids.chunks(batch) {
        let mut tx = queue.begin(&pg).await?;
        tx.enqueue_batch(ids.iter().map(|id| NewJob::of(&Noop { id: *id })).collect()).await?;
        tx.commit().await?;
    }
    Ok(jobs as f64 / begun.elapsed().as_secs_f64())
}

/// Each job in a transaction of its own, by so many callers.
pub(crate) async fn enqueue_single(server: &Server, jobs: usize, callers: usize) -> anyhow::Result<f64> {
    server.clear().await?;
    let pg = Connections::new(server.pool(u32::try_from(callers)?).await?, Failures::default());
    let queue = server.queue(2).await?;
    let begun = Instant::now();
    let tasks = (0..callers).map(|caller| {
        let (pg, queue) = (pg.clone(), queue.clone());
        tokio::spawn(async move {
            for id in (caller..jobs).step_by(callers) {
                let mut tx = queue.begin(&pg).await?;
                tx.enqueue(&Noop { id }).await?;
                tx.commit().await?;
            }
            anyhow::Ok(())
        })
    });
    for task in futures::future::join_all(tasks).await {
        task??;
    }
    Ok(jobs as f64 / begun.elapsed().as_secs_f64())
}

/// One worker process with all jobs waiting when it starts, until the last is completed.
pub(crate) async fn drain(
    server: &Server,
    jobs: usize,
    lanes: Lanes,
    handlers: Handlers,
) -> anyhow::Result<Drained> {
    server.clear().await?;
    let queue = server.queue(CONNECTIONS).await?;
    let new = |id: usize| {
        let job = NewJob::of(&Noop { id });
        if lanes == Lanes::Own { job.lane(format!("lane {id}")) } else { job }
    };
    let mut tx = queue.begin(&server.pg).await?;
    tx.enqueue_batch((0..jobs).map(new).collect()).await?;
    tx.commit().await?;
    let finished_before = finished(server).await?;
    sqlx::raw_sql("VACUUM ANALYZE queue.jobs").execute(&server.pg).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&server.pg).await?;
    let runs = std::iter::repeat_with(|| AtomicU8::new(0)).take(jobs).collect();
    let tally = Arc::new(Tally { runs, ran: AtomicUsize::new(0), all_ran: Notify::new() });
    let pg = Connections::new(server.pool(bare_drains::WRITERS).await?, Failures::default());
    let app = App { pg, tally: tally.clone() };
    let measuring = Measuring::begin(&server.pg, &server.cpu).await?;
    let workers = Workers::new(&queue, app).pool(Noop::POOL, CONCURRENCY, Duration::from_secs(60));
    let workers = match handlers {
        Handlers::ReturnOk => workers.register(return_ok),
        Handlers::Complete => workers.register(complete),
    };
    let workers = workers.start().await?;
    tally.all_ran.notified().await;
    // The last handler has run; the drain ends when the last completion is committed. To read what else the table holds would take longer than that.
    let mut conn = server.pg.acquire().await?;
    sqlx::raw_sql("SET enable_seqscan = off").execute(&mut *conn).await?;
    while sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM queue.jobs WHERE pool = 'bench' AND phase = 'due' AND suspicion = 0)",
    )
    .fetch_one(&mut *conn)
    .await?
    {
        tokio::task::yield_now().await;
    }
    let drained = measuring.end(jobs).await?;
    sqlx::raw_sql("RESET enable_seqscan").execute(&mut *conn).await?;
    workers.stop(Duration::from_secs(5)).await?;
    let once = tally.runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1);
    let kept = finished(server).await? - finished_before;
    anyhow::ensure!(
        once && kept == i64::try_from(jobs)?,
        "not every job ran exactly once: {kept} of {jobs} kept"
    );
    if handlers == Handlers::Complete {
        let rows: i64 =
            sqlx::query_scalar("SELECT count(DISTINCT job) FROM raw.effects").fetch_one(&server.pg).await?;
        anyhow::ensure!(rows == i64::try_from(jobs)?, "{rows} of {jobs} jobs wrote their row");
    }
    Ok(drained)
}

async fn finished(server: &Server) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM queue.finished WHERE id > 0").fetch_one(&server.pg).await
}
