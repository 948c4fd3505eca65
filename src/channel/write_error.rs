//! Why a rule's rows and jobs were not written.

use queue::enqueue::EnqueueError;

/// What was to be written is rolled back with the caller's transaction.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database refused or was away.
    #[error("cannot write the rows: {0}")]
    Database(#[from] sqlx::Error),
    /// A job could not be enqueued.
    #[error("cannot enqueue the job: {0}")]
    Enqueue(#[from] EnqueueError),
}
