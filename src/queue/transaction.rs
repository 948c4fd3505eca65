//! A transaction that writes rows and jobs together, and wakes the workers once both are committed.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::PgConnection;

use crate::Queue;
use crate::connections::{Connections, PlainTransaction};
use crate::enqueue::{self, EnqueueError};
use crate::job::{Enqueued, NewJob};
use crate::worker::claimed::Claimed;

/// A database transaction whose enqueued jobs exist exactly if it commits. It is a `PgConnection` for everything else.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction {
    inner: PlainTransaction,
    queue: Queue,
    rings: Vec<Ring>,
    /// The job that the last statement has ended.
    ended: Option<Arc<Claimed>>,
}

/// Who is to be woken after the commit.
enum Ring {
    Pool(String),
    /// A job in the future: the pollers look again when their next one is due.
    Later,
}

impl Transaction {
    /// Begins on a connection of `pool`, which may be another one than the queue's own.
    pub async fn begin(queue: &Queue, pool: &Connections) -> sqlx::Result<Self> {
        Ok(Self { inner: pool.begin().await?, queue: queue.clone(), rings: Vec::new(), ended: None })
    }

    /// Enqueues a job as part of this transaction.
    pub async fn enqueue(&mut self, job: impl Into<NewJob>) -> Result<Enqueued, EnqueueError> {
        let job = job.into();
        self.remember(&job);
        enqueue::insert(self, job).await
    }

    /// Enqueues any number of jobs as part of this transaction, in one statement.
    pub async fn enqueue_batch(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, EnqueueError> {
        for job in &jobs {
            self.remember(job);
        }
        enqueue::insert_batch(self, jobs).await
    }

    /// Makes the live job with this unique key due as soon as this transaction commits. False: there is none.
    pub async fn wake(&mut self, unique_key: &str) -> sqlx::Result<bool> {
        let pool = enqueue::wake(self, unique_key).await?;
        let found = pool.is_some();
        self.rings.extend(pool.map(Ring::Pool));
        Ok(found)
    }

    /// Commits, then wakes the workers of the pools that got work.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.inner.commit().await?;
        if let Some(job) = &self.ended {
            job.end();
        }
        for ring in &self.rings {
            match ring {
                Ring::Pool(pool) => self.queue.bell().ring(pool),
                Ring::Later => self.queue.bell().ring_later(),
            }
        }
        Ok(())
    }

    /// Undoes everything. Dropping does the same, later.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.inner.rollback().await
    }

    /// The last statement has ended this job: once this transaction has committed, these pools are woken and nobody needs to end the job again.
    pub(crate) fn end_with_commit(&mut self, job: Arc<Claimed>, pools: Vec<String>) {
        self.ended = Some(job);
        self.rings.extend(pools.into_iter().map(Ring::Pool));
    }

    /// Lets the pollers look again after the commit.
    pub(crate) fn ring_later(&mut self) {
        self.rings.push(Ring::Later);
    }

    fn remember(&mut self, job: &NewJob) {
        let ring = if job.run_at.is_some() { Ring::Later } else { Ring::Pool(job.pool.to_owned()) };
        let known = |other: &Ring| match (&ring, other) {
            (Ring::Pool(new), Ring::Pool(old)) => new == old,
            (Ring::Later, Ring::Later) => true,
            _ => false,
        };
        if !self.rings.iter().any(known) {
            self.rings.push(ring);
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
    /// For another statement. It can fail, and Postgres answers the commit of a transaction that has failed without an error: whether a job that
    /// was ended before has ended is not certain any more, and its worker sees to it.
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.ended = None;
        &mut self.inner
    }
}
