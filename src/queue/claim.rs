//! The right to complete a job, for as long as the lease behind it holds.

use std::sync::Arc;

use crate::Queue;
use crate::job::JobId;
use crate::transaction::Transaction;
use crate::worker::claimed::AttemptState;

/// A claimed job, as its handler sees it.
#[derive(Clone)]
pub struct Claim {
    pub(crate) job: Arc<AttemptState>,
    pub(crate) queue: Queue,
}

/// The lease was lost meanwhile: somebody else runs the job, or has run it. The handler returns this error and its
/// transaction rolls back; nothing of it may stay.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// Another worker has the job now.
    #[error("job {0} is no longer claimed by this worker")]
    Lost(JobId),
    /// The database refused or was away.
    #[error("cannot complete the job")]
    Database(#[from] sqlx::Error),
}

impl Claim {
    /// The job's number.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.job.row.id
    }

    /// Which attempt this is, from 1. A crash or a snooze repeats the number.
    #[must_use]
    pub fn attempt(&self) -> u16 {
        positive(self.job.row.attempt) + 1
    }

    /// Whether the job is dead if this attempt fails.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= positive(self.job.row.max_attempts)
    }

    /// How often the process died under this job.
    #[must_use]
    pub fn crashes(&self) -> u16 {
        positive(self.job.row.crashes)
    }

    /// Resolves when a person wants the job to stop. A handler that can end cleanly does so; any failure it then
    /// returns ends the job as cancelled. One that does not is stopped some seconds later.
    pub async fn cancelled(&self) {
        self.job.cancel.cancelled().await;
    }

    /// The queue, to begin a transaction with.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Ends the job inside the caller's transaction: its effects, its follow-up jobs and its own end commit together or
    /// not at all. Do it last, after every lock the transaction needs. A handler that then returns `Ok` has nothing
    /// left to do.
    ///
    /// # Errors
    /// [`CompleteError::Lost`] when the lease was lost; the transaction must then be rolled back.
    pub async fn complete(&self, tx: &mut Transaction) -> Result<(), CompleteError> {
        let (ended, woken_pools): (Vec<JobId>, Vec<String>) =
            sqlx::query_as("SELECT ended, woken_pools FROM queue.finish($1, $2, TRUE)")
                .bind(vec![self.job.row.id])
                .bind(vec![self.job.row.fence])
                .fetch_one(&mut **tx)
                .await?;
        if ended.is_empty() {
            return Err(CompleteError::Lost(self.job.row.id));
        }
        tx.complete_with_commit(self.job.clone(), woken_pools);
        Ok(())
    }
}

/// Counters in the database are SMALLINT and never negative.
fn positive(counter: i16) -> u16 {
    u16::try_from(counter).unwrap_or(0)
}
