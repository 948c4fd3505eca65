//! How long a job waits for its worker when there is nothing else to do. Who enqueues and who works know of each other through Postgres
//! alone, as two processes do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use queue::attempt::Attempt;
use queue::connections::Connections;
use queue::failure::Failure;
use queue::job::Job;
use queue::session_health::Failures;
use queue::workers::Workers;
use serde::{Deserialize, Serialize};

use crate::server::Server;

/// In milliseconds.
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}

impl Latency {
    fn of(waited_us: &[u64]) -> Self {
        let mut waited_us = waited_us.to_vec();
        waited_us.sort_unstable();
        let at = |percent: usize| waited_us[(waited_us.len() - 1) * percent / 100] as f64 / 1000.0;
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }
}

#[derive(Clone)]
struct Clock {
    begun: Instant,
    waited_us: Arc<Mutex<Vec<u64>>>,
}

impl Clock {
    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[derive(Serialize, Deserialize)]
struct Ping {
    sent_us: u64,
}

impl Job for Ping {
    const KIND: &'static str = "ping";
    const POOL: &'static str = "ping";
}

async fn ping(job: Ping, clock: Clock, _: Attempt) -> Result<(), Failure> {
    let waited = clock.now_us().saturating_sub(job.sent_us);
    clock.waited_us.lock().expect("a handler never panics here").push(waited);
    Ok(())
}

/// How many come first and do not count: connections that are new look up tables and plan their statements.
fn warm_up(per_sec: u64) -> usize {
    usize::try_from(per_sec).unwrap_or(usize::MAX)
}

/// So many jobs a second for so long, each in a transaction of its own. The clock of a job starts before that begins.
pub(crate) async fn at(server: &Server, per_sec: u64, seconds: u64) -> anyhow::Result<Latency> {
    server.clear().await?;
    let clock = Clock { begun: Instant::now(), waited_us: Arc::default() };
    let workers = Workers::new(&server.queue(6).await?, clock.clone())
        .pool(Ping::POOL, 100, Duration::from_secs(60))
        .register(ping)
        .start()
        .await?;
    let pg = Connections::new(server.pool(2).await?, Failures::default());
    let sender = server.queue(2).await?;
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / per_sec));
    let jobs = warm_up(per_sec) + usize::try_from(per_sec * seconds)?;
    for _ in 0..jobs {
        ticks.tick().await;
        let mut tx = sender.begin(&pg).await?;
        tx.enqueue(&Ping { sent_us: clock.now_us() }).await?;
        tx.commit().await?;
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while clock.waited_us.lock().expect("a handler never panics here").len() < jobs {
        anyhow::ensure!(Instant::now() < deadline, "jobs were lost");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    workers.stop(Duration::from_secs(5)).await?;
    let waited = clock.waited_us.lock().expect("a handler never panics here").clone();
    Ok(Latency::of(&waited[warm_up(per_sec)..]))
}

/// What the server takes for that alone: a row is inserted, and another client that needs no telling takes it, a commit each.
pub(crate) async fn bare(server: &Server, per_sec: u64, seconds: u64) -> anyhow::Result<Latency> {
    server.clear().await?;
    let (sender, taker) = (server.pool(1).await?, server.pool(1).await?);
    let (mut sender, mut taker) = (sender.acquire().await?, taker.acquire().await?);
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / per_sec));
    let mut took = Vec::new();
    for _ in 0..warm_up(per_sec) + usize::try_from(per_sec * seconds)? {
        ticks.tick().await;
        let begun = Instant::now();
        sqlx::query("INSERT INTO raw.jobs (max_attempts, state, kind, pool, payload) VALUES (5, 'waiting', 'ping', 'bench', '{}')")
            .execute(&mut *sender)
            .await?;
        let id: i64 = sqlx::query_scalar(
            "UPDATE raw.jobs SET state = 'running', claimed_at = clock_timestamp() WHERE id = (
                 SELECT id FROM raw.jobs WHERE pool = 'bench' AND state = 'waiting' AND suspicion = 0
                 ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
        )
        .fetch_one(&mut *taker)
        .await?;
        took.push(u64::try_from(begun.elapsed().as_micros())?);
        sqlx::query("DELETE FROM raw.jobs WHERE id = $1").bind(id).execute(&mut *taker).await?;
    }
    Ok(Latency::of(&took[warm_up(per_sec)..]))
}
