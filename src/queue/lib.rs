//! A durable job queue on apalis and Postgres: how work is tried. It knows no job kind.
//!
//! A job is a row. It is enqueued in the transaction that writes what it is about, so both exist or neither. Workers claim rows
//! under a lease, run each on a task of its own, and store what came of it; what a handler's failure *means* is the handler's to
//! say ([`failure::Failure`]), what is done about it is the queue's.
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
//!                               ├── Ok, or Claim::complete in a transaction ──► finished
//!                               ├── a person cancels ─────────────────────────► finished (cancelled) + follow-up
//!                               └── Abort, attempts used up, third crash ─────► dead + follow-up
//! ```
//!
//! What holds, whatever dies when:
//! - A committed job runs, at least once. Its effects in the database happen exactly once if its handler commits them together with
//!   the job's end ([`claim::Claim::complete`]): a worker that lost its lease can neither complete nor commit.
//! - A backoff is the row's `run_at`; no wait is kept in memory.
//! - Jobs of one lane run one at a time, in the order in which their transactions committed, over all processes.
//! - A panic, a timeout and an undecodable payload are failures of that one job. A job that kills its process is found out and ends dead; its
//!   neighbours lose nothing. A job of a kind that a process does not know is parked for one that does. That one takes it from there
//!   for as long as both live, so no job goes back and forth.
//! - A database that goes away stops nothing for good.
//!
//! ```no_run
//! use queue::{Queue, claim::Claim, failure::Failure, job::Job, settings::Settings, workers::Workers};
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
//! async fn greet(job: Greet, pg: sqlx::PgPool, claim: Claim) -> Result<(), Failure> {
//!     let mut tx = claim.queue().begin(&pg).await?;
//!     sqlx::query("INSERT INTO greetings (name) VALUES ($1)").bind(job.name).execute(&mut *tx).await?;
//!     claim.complete(&mut tx).await?; // the greeting and the job's end commit together
//!     tx.commit().await?;
//!     Ok(())
//! }
//!
//! # async fn example(pg: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let queue = Queue::open(pg.clone(), Settings::default());
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

/// The wait between attempts.
pub mod backoff;
/// One action on many jobs.
pub mod bulk;
/// The right to complete a job.
pub mod claim;
/// Wakes the scheduler.
pub mod clock;
/// Connection pools, for the queue and whoever enqueues.
pub mod connections;
/// Enqueueing on a bare connection.
pub mod enqueue;
/// What a handler says of a run that did not succeed.
pub mod failure;
/// Whether a session of the database is fit for use.
pub mod fitness;
/// What administrators see and do.
pub mod inspection;
/// What a job is.
pub mod job;
/// What begins nothing new.
pub mod pauses;
/// Whether a pooler is on the way to the database.
pub mod pooler;
/// Jobs that gave up.
pub mod retries;
/// Times and sizes.
pub mod settings;
/// The trace a job carries.
pub mod trace;
/// Rows and jobs in one transaction.
pub mod transaction;
/// Jobs that wait for a process which knows them.
pub mod unknown_kinds;
/// The workers of a process.
pub mod workers;

mod bell;
mod finding;
mod kept;
mod registry;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bell::Bell;
use crate::connections::Connections;
use crate::enqueue::EnqueueError;
use crate::job::{Enqueued, NewJob};
use crate::kept::Kept;
use crate::settings::Settings;
use crate::transaction::Transaction;

/// After this long a large batch goes on though as many as may are under way.
const LONGEST_TURN: Duration = Duration::from_secs(1);

/// The way into the queue for one process. Clones share one bell.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    kept: Kept,
    bell: Bell,
    settings: Settings,
    /// Permits for large batches.
    turns: Semaphore,
}

impl Queue {
    /// Opens the queue on a connection pool of its own: claims, renewals and completions must not wait behind slow handlers.
    /// It keeps up to half of them from statement to statement, until the pool is closed, so whoever shares a pool with it must do with the
    /// other half. A connection that was used within a second is not asked whether it still lives, whatever the pool's options say. Needs a
    /// tokio runtime.
    #[must_use]
    pub fn open(pool: impl Into<Connections>, settings: Settings) -> Self {
        let kept = Kept::new(pool.into());
        let bell = Bell::start(kept.clone());
        let turns = Semaphore::new(settings.batches_at_once.max(1));
        Self(Arc::new(Inner { kept, bell, settings, turns }))
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

    /// Returns when other processes know of the work that this one has made. For a process that ends now: what it has not said by then it never
    /// says, and the others find the work by their polls.
    pub async fn tell_others(&self) {
        self.bell().tell_now(self.kept()).await;
    }

    /// Waits until the server may be given a batch of so many jobs; a small one need not wait, and none waits for long: a batch that is held up
    /// by locks holds up no other one.
    pub(crate) async fn turn(&self, jobs: usize) -> Option<SemaphorePermit<'_>> {
        if jobs * 2 <= self.settings().batch {
            return None;
        }
        // The semaphore is never closed.
        tokio::time::timeout(LONGEST_TURN, self.0.turns.acquire()).await.ok()?.ok()
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.0.bell
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.0.kept
    }

    pub(crate) fn pool(&self) -> &Connections {
        self.0.kept.pool()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use sqlx::postgres::PgPoolOptions;

    use super::*;

    #[tokio::test]
    async fn large_batches_take_turns_and_small_ones_go_past_them() {
        let settings = Settings { batch: 10, batches_at_once: 1, ..Settings::default() };
        let queue = Queue::open(PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap(), settings);

        let first = queue.turn(6).await;
        let mut second = pin!(queue.turn(10));

        assert!(first.is_some());
        assert!(futures::poll!(&mut second).is_pending());
        assert!(queue.turn(5).await.is_none());
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn a_batch_that_is_held_up_holds_up_no_other_one_for_long() {
        let settings = Settings { batch: 10, batches_at_once: 1, ..Settings::default() };
        let queue = Queue::open(PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap(), settings);

        let _held_up = queue.turn(10).await;

        assert!(queue.turn(10).await.is_none());
    }
}
