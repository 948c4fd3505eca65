//! The durable job queue on apalis and Postgres.

pub mod backoff;
pub mod claim;
pub mod enqueue;
pub mod failure;
pub mod job;
pub mod settings;
pub mod trace;
pub mod transaction;
pub mod workers;

mod bell;
mod registry;
mod worker;

use std::sync::Arc;

use sqlx::PgPool;

use crate::bell::Bell;
use crate::enqueue::EnqueueError;
use crate::job::{Enqueued, NewJob};
use crate::settings::Settings;
use crate::transaction::Transaction;

/// The way into the queue for one process. Clones share one bell.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    pg: PgPool,
    bell: Bell,
    settings: Settings,
}

impl Queue {
    /// Opens the queue on a connection pool of its own: claims, renewals and completions must not wait behind slow handlers.
    /// Needs a tokio runtime.
    #[must_use]
    pub fn open(pg: PgPool, settings: Settings) -> Self {
        let bell = Bell::start(pg.clone());
        Self(Arc::new(Inner { pg, bell, settings }))
    }

    /// Begins a transaction that wakes the workers after its commit. `pool` may be another one than the queue's own.
    pub async fn begin(&self, pool: &PgPool) -> sqlx::Result<Transaction> {
        Transaction::begin(self, pool).await
    }

    /// Enqueues one job by itself: it exists when this returns.
    pub async fn enqueue(&self, job: impl Into<NewJob>) -> Result<Enqueued, EnqueueError> {
        let job = job.into();
        let (pool, later) = (job.pool, job.run_at.is_some());
        let outcome = enqueue::insert(&mut *self.0.pg.acquire().await?, job).await?;
        if later {
            self.bell().ring_later()
        } else {
            self.bell().ring(pool)
        }
        Ok(outcome)
    }

    /// Enqueues any number of jobs by themselves, in one statement: all exist when this returns, or none.
    pub async fn enqueue_batch(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, EnqueueError> {
        let mut tx = self.begin(&self.0.pg).await?;
        let outcomes = tx.enqueue_batch(jobs).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.0.bell
    }

    pub(crate) fn pg(&self) -> &PgPool {
        &self.0.pg
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}
