//! A durable job queue on apalis and Postgres: how work is tried. It knows no job kind.
//!
//! A job is a row. It is enqueued in the transaction that writes what it is about, so both exist or neither. Workers
//! claim rows under a lease, run each on a task of its own, and store its outcome. A handler says what a failure
//! *means* ([`failure::Failure`]); the queue decides what is done about it.
//!
//! ```text
//!                    run_at later              its lane is busy
//!      enqueue ───┬────────────────► scheduled ◄───┐   ┌────────── held
//!                 │                      │ due     │   │ head of its lane ended
//!                 └────────► waiting ◄───┴─────────│───┘
//!                     ▲  ▲      │ claim            │
//!    lease lost,      │  │      ▼                  │ Retry, RetryAfter (count an attempt), Snooze (does not)
//!    handed back, ────┘  └── running ──────────────┘
//!    kind unparked              │
//!                               ├── Ok, or Attempt::complete_and_commit in a transaction ──► finished
//!                               ├── a person cancels ─────────────────────────► finished (cancelled) + follow-up
//!                               └── Abort, attempts used up, third crash ─────► dead + follow-up
//! ```
//!
//! What holds through every crash:
//! - A committed job runs, at least once. Its effects in the database happen exactly once if its handler commits them
//!   together with the job's completion ([`attempt::Attempt::complete_and_commit`]): a worker that lost its lease can
//!   neither complete nor commit.
//! - A backoff is the row's `run_at`; no wait is kept in memory.
//! - Jobs of one lane run one at a time, in the order in which their transactions committed, over all processes.
//! - A panic, a timeout and an undecodable payload are failures of that one job. A job that kills its process is
//!   identified and ends dead; the other jobs of the process run again. A job of a kind that a process does not know is
//!   parked once, and claimed by a process that knows the kind.
//! - After an outage of the database everything goes on.
//!
//! ```no_run
//! use queue::{Queue, attempt::Attempt, failure::Failure, job::Job, settings::QueueSettings, workers::Workers};
//! use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! impl Job for Greet {
//!     const KIND: &'static str = "greet";
//!     const POOL: &'static str = "default";
//! }
//!
//! async fn greet(job: Greet, pg: sqlx::PgPool, attempt: Attempt) -> Result<(), Failure> {
//!     let mut tx = attempt.queue().begin(&pg).await?;
//!     sqlx::query("INSERT INTO greetings (name) VALUES ($1)").bind(job.name).execute(&mut *tx).await?;
//!     attempt.complete_and_commit(tx).await?; // the greeting and the job's end commit together
//!     Ok(())
//! }
//!
//! # async fn example(pg: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let queue = Queue::open(pg.clone(), QueueSettings::default());
//! let workers = Workers::new(&queue, pg.clone()).pool("default", 16, Duration::from_secs(60)).register(greet).start().await?;
//!
//! let mut tx = queue.begin(&pg).await?;
//! tx.enqueue(&Greet { name: "Ada".into() }).await?;
//! tx.commit().await?; // now the job exists, and a worker is woken
//!
//! workers.stop(Duration::from_secs(25)).await?;
//! # Ok(())
//! # }
//! ```

/// What an action on a job came to.
pub mod action_result;
/// A claimed job, as its handler sees it.
pub mod attempt;
/// How a process's attempts have ended.
pub mod attempt_counts;
/// How attempts end.
pub mod attempt_end;
/// What administrators did.
pub mod audit;
/// What is due, by pool.
pub mod backlog;
/// The wait between attempts.
pub mod backoff;
/// Numbers that are counted up to a limit.
pub mod bounded_count;
/// One action on many jobs.
pub mod bulk;
/// Ticks for the scheduler.
pub mod clock;
/// A borrowed connection.
pub mod connection;
/// Connection pools.
pub mod connections;
/// What a process counts for whoever watches it.
pub mod counts;
/// Dead jobs that get a successor.
pub mod dead_jobs;
/// Enqueueing on a bare connection.
pub mod enqueue;
/// The ways in which a handler fails.
pub mod failure;
/// Dead and failing jobs by what went wrong.
pub mod failure_groups;
pub mod finished_jobs;
/// Listing, showing and changing jobs.
pub mod inspection;
/// Jobs and their kinds.
pub mod job;
/// States of jobs, for people.
pub mod job_state;
/// The jobs that were about something, for people.
pub mod job_stories;
/// Paused pools and kinds.
pub mod pauses;
/// Finds a pooler between us and the database.
pub mod pooler;
/// The processes that work.
pub mod processes;
/// A job that waits is run now.
pub mod run_now;
/// Health of database sessions.
pub mod session_health;
/// Times and sizes.
pub mod settings;
/// The trace a job carries.
pub mod trace;
/// Rows and jobs in one transaction.
pub mod transaction;
/// Jobs of kinds that no process knows.
pub mod unknown_kinds;
/// The workers of a process.
pub mod workers;

mod idle_connections;
mod job_search;
mod notifier;
mod registry;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::connections::Connections;
use crate::enqueue::EnqueueError;
use crate::job::{Enqueued, NewJob};
use crate::notifier::Notifier;
use crate::settings::QueueSettings;
use crate::transaction::Transaction;

/// A large batch waits at most this long for a permit, then goes on without one.
const BATCH_PERMIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue, as one process sees it. Clones are the same queue.
#[derive(Clone)]
pub struct Queue(Arc<QueueInner>);

struct QueueInner {
    pool: Connections,
    notifier: Notifier,
    settings: QueueSettings,
    /// Permits for large batches.
    batch_permits: Semaphore,
}

impl Queue {
    /// Opens the queue on a connection pool of its own: claims, renewals and completions must not wait behind slow
    /// handlers. The queue keeps up to half of the pool's connections idle until the pool is closed; direct users of the
    /// pool have the other half. Needs a tokio runtime.
    #[must_use]
    pub fn open(pool: impl Into<Connections>, settings: QueueSettings) -> Self {
        let pool = pool.into().keeping_idle();
        let notifier = Notifier::start(pool.clone());
        let batch_permits = Semaphore::new(settings.batches_at_once.max(1));
        Self(Arc::new(QueueInner { pool, notifier, settings, batch_permits }))
    }

    /// Begins a transaction that wakes the workers after its commit. `pool` may be another one than the queue's own.
    pub async fn begin(&self, pool: impl Into<Connections>) -> sqlx::Result<Transaction> {
        Transaction::begin(self, &pool.into()).await
    }

    /// Enqueues one job in a transaction of its own, on the queue's pool: the job exists when this returns.
    pub async fn enqueue(&self, job: impl Into<NewJob>) -> Result<Enqueued, EnqueueError> {
        let mut tx = self.begin(self.pool()).await?;
        let enqueued = tx.enqueue(job).await?;
        tx.commit().await?;
        Ok(enqueued)
    }

    /// Returns when the pending notifications to other processes are sent. For a process that ends now: without it the
    /// others find the jobs only by polling.
    pub async fn flush_notifications(&self) {
        self.notifier().flush(self.pool()).await;
    }

    /// Waits for a permit to send a batch of so many jobs to the server. A small batch needs none. After a second a
    /// large one goes on without, so that a batch which waits for locks does not stop the others.
    pub(crate) async fn batch_permit(&self, jobs: usize) -> Option<SemaphorePermit<'_>> {
        if jobs * 2 <= self.settings().batch {
            return None;
        }
        // The semaphore is never closed.
        tokio::time::timeout(BATCH_PERMIT_TIMEOUT, self.0.batch_permits.acquire()).await.ok()?.ok()
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.0.notifier
    }

    pub(crate) fn pool(&self) -> &Connections {
        &self.0.pool
    }

    /// How long finished jobs are kept.
    #[must_use]
    pub fn history(&self) -> std::time::Duration {
        self.settings().history
    }

    pub(crate) fn settings(&self) -> &QueueSettings {
        &self.0.settings
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use sqlx::postgres::PgPoolOptions;

    use super::*;

    #[tokio::test]
    async fn large_batches_wait_for_permits_and_small_ones_do_not() {
        let settings = QueueSettings { batch: 10, batches_at_once: 1, ..QueueSettings::default() };
        let queue = Queue::open(PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap(), settings);

        let first = queue.batch_permit(6).await;
        let mut second = pin!(queue.batch_permit(10));

        assert!(first.is_some());
        assert!(futures::poll!(&mut second).is_pending());
        assert!(queue.batch_permit(5).await.is_none());
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn a_batch_that_waits_for_locks_delays_no_other_one_for_long() {
        let settings = QueueSettings { batch: 10, batches_at_once: 1, ..QueueSettings::default() };
        let queue = Queue::open(PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap(), settings);

        let _held_up = queue.batch_permit(10).await;

        assert!(queue.batch_permit(10).await.is_none());
    }
}
