//! A queue on a fresh database, and a job that does what its payload says.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use private_postgres::schema::Schema;
use private_postgres::test_database::TestDatabase;
use queue::Queue;
use queue::attempt::Attempt;
use queue::backoff::Backoff;
use queue::failure::Failure;
use queue::inspection::{ActionOutcome, JobAction, JobCriteria};
use queue::job::{Ended, Enqueued, FollowUp, Job, NewJob};
use queue::settings::QueueSettings;
use queue::workers::{RunningWorkers, Workers};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

pub(crate) static SCHEMA: Schema<'static> =
    Schema { migrations: &MIGRATOR, functions: include_str!("../../../migrations/functions.sql") };

/// Nothing in these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Times that make a test short and keep its logic.
pub(crate) fn settings() -> QueueSettings {
    QueueSettings {
        lease: Duration::from_millis(1500),
        renew: Duration::from_millis(300),
        poll: Duration::from_millis(100),
        suspect_stagger: Duration::from_millis(100),
        cancel_grace: Duration::from_millis(100),
        ..QueueSettings::default()
    }
}

/// A database of its own with a queue on it.
pub(crate) struct Bench {
    pub(crate) database: TestDatabase,
    pub(crate) pg: PgPool,
    pub(crate) queue: Queue,
    pub(crate) record: Record,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create(&SCHEMA).await;
        let pg = database.pool().await;
        let queue = Queue::open(database.pool().await, settings());
        Self { database, pg, queue, record: Record::default() }
    }

    /// Workers for [`Act`] and its follow-up in a pool with this much room, under a lease of their own.
    pub(crate) async fn work(&self, concurrency: usize) -> RunningWorkers {
        let queue = Queue::open(self.database.pool().await, settings());
        workers(&queue, self.record.clone(), concurrency).start().await.unwrap()
    }

    /// Enqueues jobs in a transaction of their own.
    pub(crate) async fn enqueue_batch(&self, jobs: impl Iterator<Item = NewJob>) -> Vec<Enqueued> {
        let mut tx = self.queue.begin(&self.pg).await.unwrap();
        let enqueued = tx.enqueue_batch(jobs.collect()).await.unwrap();
        tx.commit().await.unwrap();
        enqueued
    }

    /// Acts on every job that matches, step by step to the end.
    pub(crate) async fn act_on_fitting(
        &self,
        action: JobAction,
        criteria: JobCriteria,
        actor: &str,
    ) -> Vec<ActionOutcome> {
        let mut bulk = self.queue.bulk(action, criteria).await.unwrap();
        let mut outcomes = Vec::new();
        loop {
            let step = self.queue.step(&mut bulk, actor).await.unwrap();
            if step.is_empty() {
                return outcomes;
            }
            outcomes.extend(step);
        }
    }

    /// Waits until no job is live.
    pub(crate) async fn drained(&self) {
        self.until("every job has ended", || async {
            self.count("SELECT count(*) FROM queue.jobs").await == 0
        })
        .await;
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pg).await.unwrap()
    }

    /// One text value of the database.
    pub(crate) async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(&self.pg).await.unwrap()
    }

    /// Asks again until the answer is yes.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, mut is_so: impl FnMut() -> F) {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}; did {:?}", self.record.all());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) fn workers(queue: &Queue, record: Record, concurrency: usize) -> Workers<Record> {
    Workers::new(queue, record)
        .pool("test", concurrency, Duration::from_secs(20))
        .register(act)
        .register(after_act)
}

/// What the handlers did, in order.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A job that does what its deed says, and notes its name when it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Act {
    pub(crate) name: String,
    pub(crate) deed: Deed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Deed {
    Succeed,
    Fail,
    /// Fails until this attempt.
    SucceedAt(u16),
    RetryAfterMs(u64),
    Abort,
    Panic,
    /// Fails for good, and names a phone number.
    AbortWithNumber,
    /// Panics, and quotes what it has in its hands.
    PanicWithQuote,
    /// Snoozes this long the first time it runs.
    SnoozeOnceMs(u64),
    /// Ends after this long.
    TakeMs(u64),
    /// Never ends.
    Hang,
    /// Takes the process with it.
    KillProcess,
}

impl Act {
    pub(crate) fn new(name: impl Into<String>, deed: Deed) -> Self {
        Self { name: name.into(), deed }
    }
}

impl Job for Act {
    const KIND: &'static str = "act";
    const POOL: &'static str = "test";
    const MAX_ATTEMPTS: u16 = 3;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(20), Duration::from_millis(50));
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(4));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<AfterAct>());
}

pub(crate) async fn act(job: Act, record: Record, attempt: Attempt) -> Result<(), Failure> {
    let first_time = !record.all().contains(&job.name);
    record.note(&job.name);
    match job.deed {
        Deed::Succeed => Ok(()),
        Deed::Fail => Err(Failure::retry("it failed")),
        Deed::SucceedAt(number) if attempt.number() >= number => Ok(()),
        Deed::SucceedAt(_) => Err(Failure::retry("not yet")),
        Deed::RetryAfterMs(ms) if first_time => {
            Err(Failure::RetryAfter(Duration::from_millis(ms), "busy".into()))
        }
        Deed::RetryAfterMs(_) => Ok(()),
        Deed::Abort => Err(Failure::abort("no such thing")),
        Deed::Panic => panic!("it fell over"),
        Deed::AbortWithNumber => Err(Failure::abort("no such person: +15005550100, chunk 12345678")),
        Deed::PanicWithQuote => panic!("not a plan: {:?}", "My doctor says"),
        Deed::SnoozeOnceMs(ms) if first_time => Err(Failure::Snooze(Duration::from_millis(ms))),
        Deed::SnoozeOnceMs(_) => Ok(()),
        Deed::TakeMs(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            record.note(format!("{} ended", job.name));
            Ok(())
        }
        Deed::Hang => std::future::pending().await,
        Deed::KillProcess => std::process::abort(),
    }
}

/// The follow-up of an [`Act`] that died or was cancelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AfterAct(Ended<serde_json::Value>);

impl Job for AfterAct {
    const KIND: &'static str = "after_act";
    const POOL: &'static str = "test";
    const MAX_ATTEMPTS: u16 = 7;
}

pub(crate) async fn after_act(job: AfterAct, record: Record, _: Attempt) -> Result<(), Failure> {
    let name = job.0.payload.get("name").and_then(|name| name.as_str()).unwrap_or("?").to_owned();
    record.note(format!("{name} is {}: {}", job.0.state, job.0.reason.unwrap_or_default()));
    Ok(())
}
