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

    /// Completes the job and commits the caller's transaction, in one round trip: the job's effects, the jobs that it
    /// enqueues and its completion are committed together or not at all. After this the handler returns `Ok`.
    ///
    /// # Errors
    /// [`CompleteError::Lost`] when the lease was lost: the transaction is rolled back. After any other error it is
    /// unknown whether the commit happened.
    pub async fn complete_and_commit(&self, tx: Transaction) -> Result<(), CompleteError> {
        let (id, fence) = self.job.row.claim();
        tx.commit_completion(id, fence).await.map_err(|error| {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            if code.is_some_and(|code| code == LOST) { CompleteError::Lost(id) } else { error.into() }
        })?;
        self.job.mark_completed();
        Ok(())
    }
}

/// SQLSTATE of `queue.complete_one` without the claim.
const LOST: &str = "QLOST";

/// Counters in the database are SMALLINT and never negative.
fn positive(counter: i16) -> u16 {
    u16::try_from(counter).unwrap_or(0)
}
