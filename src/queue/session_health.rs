//! Health of database sessions. A session that cannot be used leaves its pool: it would fail every statement for as
//! long as it lives.
//!
//! A session is checked when a statement or transaction on it has failed or was dropped half-way. An idle one is checked
//! before it is used (in place of a ping) when it has been idle for a while, or when any session has failed since. A
//! session that succeeds is not checked. The kind of the error does not matter:
//!
//! | SQLSTATE | what it is | the session | the caller |
//! |---|---|---|---|
//! | 57P01, 57P02, 57P05, 08xxx, an I/O error | the server or the connection is gone | closed | tries again: 503, or the job's backoff |
//! | 57P03, 53300 | the server starts, or takes no further session | none was made; the pool goes on trying | waits until its time-out |
//! | 25006 | read-only: a standby, or a former primary after a failover | closed, so the next one is made where writing is possible | tries again |
//! | 25001, 25P02 | a transaction is open, or has failed | rolled back, and closed if that does not help | tries again |
//! | 40001, 40P01 | a serialization failure, a deadlock | kept | tries again |
//! | 53100, 53200, 58xxx | the disk or the memory is full, or broken | kept: another session would fail, too | tries again; `/readyz` writes on trial |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Row as _};

/// Begins every transaction. `ALTER DATABASE … SET` cannot change its isolation level, not even behind a pooler.
/// Whether it is read-only is left to the administrator.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The same for statements outside of a transaction. Behind a pooler in transaction mode this setting stays in one
/// session of the server, so there the role's own settings must say the same; [`crate::pooler`] checks them.
const SETTINGS: &str = "SET default_transaction_isolation = 'read committed'";

/// The first comparison is false inside an open transaction, which began earlier than the statement.
const IS_USABLE: &str =
    "SELECT now() = statement_timestamp() AND current_setting('transaction_isolation') = 'read committed'
    AND current_setting('transaction_read_only') = 'off' AND current_setting('client_encoding') = 'UTF8'";

/// Ends a transaction. The empty SELECT fails if a statement of the transaction has failed.
const END_TRANSACTION: &str = "SELECT; ROLLBACK";

/// SQLSTATE of a statement in a transaction that has failed.
const FAILED_TRANSACTION: &str = "25P02";

/// A session that does not answer within this is closed. A server that vanished without closing its connections is
/// noticed by TCP only after a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same while a caller waits for the session.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// For this long after a failure every session that comes back is checked.
const CHECK_ALL_FOR: Duration = Duration::from_secs(10);

/// Sets in a new session what our SQL relies on.
pub(crate) async fn apply_settings(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(SETTINGS).execute(connection).await?;
    Ok(())
}

/// Whether an idle session can be used.
pub(crate) async fn is_usable(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(SHORT_PATIENCE, check(connection)).await, Ok(Ok(true)))
}

async fn check(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::raw_sql(IS_USABLE).fetch_one(connection).await?.try_get(0)
}

/// The state in which a session was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReleaseState {
    /// Outside of a transaction; whether a statement failed is unknown.
    Returned,
    /// After a failure, outside of a transaction or in a COMMIT without an answer.
    Failed,
    /// Inside a transaction.
    InTransaction,
}

/// Ends an open transaction, and gives the session back to its pool if it can be used; otherwise closes it. Runs on a
/// task of its own, since it must not be dropped half-way.
pub(crate) async fn examine(
    mut connection: PoolConnection<Postgres>,
    state: ReleaseState,
    failures: Failures,
) {
    let examined = tokio::time::timeout(PATIENCE, async {
        match state {
            ReleaseState::Returned => {}
            ReleaseState::Failed => failures.note(),
            ReleaseState::InTransaction => end(&mut connection, &failures).await?,
        }
        check(&mut connection).await
    });
    match examined.await {
        Ok(Ok(true)) => give_back(connection).await,
        unusable => {
            tracing::debug!(?unusable, "Closing a database session that cannot be used");
            failures.note();
            // The session counts against the pool's limit until it is closed, so the close is not waited for any
            // longer.
            let _ = tokio::time::timeout(SHORT_PATIENCE, connection.close()).await;
        }
    }
}

/// Rolls back. A rollback alone is no failure, since the caller may have had nothing to write; a failed statement
/// before it is.
async fn end(connection: &mut PgConnection, failures: &Failures) -> sqlx::Result<()> {
    let Err(error) = sqlx::raw_sql(END_TRANSACTION).execute(&mut *connection).await else { return Ok(()) };
    failures.note();
    let code = error.as_database_error().and_then(|error| error.code());
    if code.is_none_or(|code| code != FAILED_TRANSACTION) {
        return Err(error);
    }
    sqlx::raw_sql("ROLLBACK").execute(connection).await?;
    Ok(())
}

/// Gives the session back to its pool, which pings it; one that does not answer is dropped.
pub(crate) async fn give_back(mut connection: PoolConnection<Postgres>) {
    let _ = tokio::time::timeout(PATIENCE, connection.return_to_pool()).await;
}

/// Failures of database sessions in this process. They tell whether a look at the database must write to be sure.
/// Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<FailureCounts>);

#[derive(Debug, Default)]
struct FailureCounts {
    /// All failures so far.
    number: AtomicU64,
    /// Failures before the last write on trial that succeeded.
    before_last_write: AtomicU64,
    last: Mutex<Option<Instant>>,
    /// When a write was last known to be committed.
    written: Mutex<Option<Instant>>,
}

impl Failures {
    /// A statement or a transaction has failed.
    pub(crate) fn note(&self) {
        self.0.number.fetch_add(1, Ordering::Relaxed);
        *self.last() = Some(Instant::now());
    }

    /// All so far.
    pub(crate) fn number(&self) -> u64 {
        self.0.number.load(Ordering::Relaxed)
    }

    /// Whether there was one within the last seconds.
    pub(crate) fn is_recent(&self) -> bool {
        self.number() > 0 && self.last().is_some_and(|last| last.elapsed() < CHECK_ALL_FOR)
    }

    /// The number of failures, if there were any since the last write on trial that succeeded.
    pub(crate) fn since_last_write(&self) -> Option<u64> {
        let number = self.number();
        (number > self.0.before_last_write.load(Ordering::Relaxed)).then_some(number)
    }

    /// Notes that a write on trial succeeded after this many failures.
    pub(crate) fn note_write(&self, number: u64) {
        self.0.before_last_write.fetch_max(number, Ordering::Relaxed);
    }

    /// A write that somebody needed has just been committed.
    pub(crate) fn note_commit(&self) {
        *lock(&self.0.written) = Some(Instant::now());
    }

    /// Whether such a write was committed within this time, and nothing has failed since.
    pub(crate) fn committed_within(&self, time: Duration) -> bool {
        let last_failure = *self.last();
        lock(&self.0.written).is_some_and(|written| {
            written.elapsed() <= time && last_failure.is_none_or(|failure| failure < written)
        })
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.0.last)
    }
}

/// A poisoned lock is usable: the guarded value is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_proves_that_writes_are_taken_until_it_is_old_or_something_fails() {
        let failures = Failures::default();
        let soon = Duration::from_secs(60);
        assert!(!failures.committed_within(soon));

        failures.note_commit();
        assert!(failures.committed_within(soon));
        assert!(!failures.committed_within(Duration::ZERO));

        failures.note();
        assert!(!failures.committed_within(soon));
        failures.note_commit();
        assert!(failures.committed_within(soon));
    }
}
