//! An attempt of a job: what its handler sees, and the right to complete the job while the lease holds.

use std::sync::Arc;

use crate::Queue;
use crate::job::JobId;
use crate::transaction::Transaction;
use crate::worker::claimed::AttemptState;

/// One attempt of a job, as its handler sees it.
#[derive(Clone)]
pub struct Attempt {
    pub(crate) job: Arc<AttemptState>,
}

/// Why a job was not completed. The handler returns this error, so that its transaction rolls back.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The lease was lost meanwhile: another worker runs the job, or has run it.
    #[error("job {0} is no longer claimed by this worker")]
    Lost(JobId),
    /// The database refused or was away.
    #[error("cannot complete the job")]
    Database(#[from] sqlx::Error),
}

impl Attempt {
    /// The job's number.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.job.row.id
    }

    /// The number of this attempt, from 1. A crash or a snooze repeats it.
    #[must_use]
    pub fn number(&self) -> u16 {
        positive(self.job.row.attempt) + 1
    }

    /// The queue, to begin a transaction with.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.job.claim.process.queue
    }

    /// Completes the job inside the caller's transaction: the job's effects, the jobs that it enqueues and its completion
    /// commit together or not at all. Do it last, after every lock the transaction needs. After the commit the handler
    /// returns `Ok`.
    ///
    /// # Errors
    /// [`CompleteError::Lost`] when the lease was lost; the transaction must then be rolled back.
    pub async fn complete(&self, tx: &mut Transaction) -> Result<(), CompleteError> {
        let (is_ended, woken_pools): (bool, Vec<String>) =
            sqlx::query_as("SELECT is_ended, woken_pools FROM queue.finish_one($1, $2)")
                .bind(self.job.row.id)
                .bind(self.job.row.fence)
                .fetch_one(&mut **tx)
                .await?;
        if !is_ended {
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
