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

impl WriteError {
    /// The SQLSTATE, if the database refuses this row and would take others: wrong data, a rule of a table, a lock that was not to be had. `None`: it
    /// refuses whatever is asked.
    #[must_use]
    pub fn of_this_row_alone(&self) -> Option<String> {
        let (Self::Database(error) | Self::Enqueue(EnqueueError::Database(error))) = self else {
            return None;
        };
        let code = error.as_database_error()?.code()?;
        ["22", "23", "40", "P0"].iter().any(|class| code.starts_with(class)).then(|| code.into_owned())
    }
}
