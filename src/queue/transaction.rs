//! A transaction that writes rows and jobs together, and wakes the workers once both are committed.

use std::ops::{Deref, DerefMut};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row as _};

use crate::Queue;
use crate::connection::PlainTransaction;
use crate::connections::Connections;
use crate::enqueue::{self, EnqueueError};
use crate::job::{Enqueued, JobId, NewJob};

/// A database transaction. Its enqueued jobs exist if and only if it commits. It is a `PgConnection` for everything
/// else.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction {
    inner: PlainTransaction,
    queue: Queue,
    wakeups: Vec<Wakeup>,
}

/// Its arguments are written into it: what is sent together with COMMIT takes none.
const COMPLETE: &str = "SELECT queue.complete_one($1, $2)";

/// Who is woken after the commit.
enum Wakeup {
    Pool(String),
    /// For a job in the future: the pollers look up when their next job is due.
    Pollers,
}

impl Transaction {
    /// Begins on a connection of `pool`, which may be another one than the queue's own.
    pub async fn begin(queue: &Queue, pool: &Connections) -> sqlx::Result<Self> {
        Ok(Self { inner: pool.begin().await?, queue: queue.clone(), wakeups: Vec::new() })
    }

    /// Enqueues a job as part of this transaction.
    pub async fn enqueue(&mut self, job: impl Into<NewJob>) -> Result<Enqueued, EnqueueError> {
        let job = job.into();
        self.add_wakeup(&job);
        enqueue::insert(self, job).await
    }

    /// Enqueues any number of jobs as part of this transaction, in one statement.
    pub async fn enqueue_batch(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, EnqueueError> {
        for job in &jobs {
            self.add_wakeup(job);
        }
        enqueue::insert_batch(self, jobs).await
    }

    /// Makes the live job with this unique key due as soon as this transaction commits. False: there is none.
    pub async fn wake(&mut self, unique_key: &str) -> sqlx::Result<bool> {
        let pool = enqueue::wake(self, unique_key).await?;
        let found = pool.is_some();
        self.wakeups.extend(pool.map(Wakeup::Pool));
        Ok(found)
    }

    /// Gives the first job of a lane another time, if it is of this kind and waits for its time since it was enqueued or put itself off. One
    /// that failed keeps its own, and one that runs or is due goes on: it looks for itself. False: there is none to move.
    pub async fn move_head(&mut self, lane: &str, kind: &str, to: DateTime<Utc>) -> sqlx::Result<bool> {
        let pool = enqueue::move_head(self, lane, kind, to).await?;
        let found = pool.is_some();
        if let Some(pool) = pool {
            self.wakeups.extend([Wakeup::Pool(pool), Wakeup::Pollers]);
        }
        Ok(found)
    }

    /// Commits, then wakes the workers of the pools that got work.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.inner.commit().await?;
        wake(&self.queue, &self.wakeups);
        Ok(())
    }

    /// Ends the job of a claim and commits, then wakes the pools that got work.
    pub(crate) async fn commit_completion(mut self, id: JobId, fence: i64) -> sqlx::Result<()> {
        let end = COMPLETE.replace("$1", &id.0.to_string()).replace("$2", &fence.to_string());
        let row = self.inner.commit_after(&end).await?;
        let woken_pools: Vec<String> = row.try_get(0)?;
        self.wakeups.extend(woken_pools.into_iter().map(Wakeup::Pool));
        wake(&self.queue, &self.wakeups);
        Ok(())
    }

    /// Rolls back. Dropping does the same, on a task of its own.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.inner.rollback().await
    }

    /// Wakes the pollers after the commit.
    pub(crate) fn wake_pollers(&mut self) {
        self.wakeups.push(Wakeup::Pollers);
    }

    fn add_wakeup(&mut self, job: &NewJob) {
        let wakeup = if job.run_at.is_some() { Wakeup::Pollers } else { Wakeup::Pool(job.pool.to_owned()) };
        let same = |other: &Wakeup| match (&wakeup, other) {
            (Wakeup::Pool(new), Wakeup::Pool(old)) => new == old,
            (Wakeup::Pollers, Wakeup::Pollers) => true,
            _ => false,
        };
        if !self.wakeups.iter().any(same) {
            self.wakeups.push(wakeup);
        }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

fn wake(queue: &Queue, wakeups: &[Wakeup]) {
    for wakeup in wakeups {
        match wakeup {
            Wakeup::Pool(pool) => queue.notifier().wake_pool(pool),
            Wakeup::Pollers => queue.notifier().wake_pollers(),
        }
    }
}
