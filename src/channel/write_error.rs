//! Why a rule's rows and jobs were not written.

use queue::enqueue::EnqueueError;

/// What was to be written is rolled back with the caller's transaction.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database refused or was away.
    #[error("cannot store it: {0}")]
    Database(#[from] sqlx::Error),
    /// A job could not be enqueued.
    #[error("cannot enqueue its job: {0}")]
    Enqueue(#[from] EnqueueError),
}
