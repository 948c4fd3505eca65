//! Whether a session of the database is fit for use. One that is not leaves its pool: it would fail every statement for as long as it lives.
//!
//! Nobody is asked on the good path. A session is looked at when a statement or a transaction on it has failed or was given up
//! half-way, and, in place of the question whether it still lives, when it has been idle for a while. Which error it was does not matter:
//!
//! | SQLSTATE | what it is | the session | the caller |
//! |---|---|---|---|
//! | 57P01, 57P02, 57P05, 08xxx, an I/O error | the server or the connection is gone | closed | tries again: 503, or the job's backoff |
//! | 57P03, 53300 | the server starts, or has no room for another session | none was made; the pool goes on trying | waits for as long as it has patience |
//! | 25006 | read-only: a standby, or what a failover has left behind | closed, so the next one is made where writing is possible | tries again |
//! | 25001, 25P02 | a transaction is open, or has failed | rolled back, and closed if that does not help | tries again |
//! | 40001, 40P01 | others were in the way | kept | tries again |
//! | 53100, 53200, 58xxx | the disk or the memory is full, or broken | kept: another one would do no better | tries again; `/readyz` writes on trial |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Row as _};

/// Begins every transaction. `ALTER DATABASE … SET` reaches it nowhere, not even behind a pooler; read-only stays the administrator's to say.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The same for statements that stand alone. Behind a pooler in transaction mode it stays in whichever session of the server was used; there the
/// role's own settings must say the same, which [`crate::pooler`] looks at.
const PINS: &str = "SET default_transaction_isolation = 'read committed'";

/// Inside an open transaction the first half of the first line is false, since that one began earlier.
const IS_FIT: &str =
    "SELECT now() = statement_timestamp() AND current_setting('transaction_isolation') = 'read committed'
    AND current_setting('transaction_read_only') = 'off' AND current_setting('client_encoding') = 'UTF8'";

/// Fails where a statement of the transaction has failed.
const END_WHAT_HOLDS: &str = "SELECT; ROLLBACK";

/// SQLSTATE of a statement in a transaction that has failed.
const FAILED_TRANSACTION: &str = "25P02";

/// A session that does not answer within this is given up. Its server may be gone without a word, and then only TCP would find out, in a
/// quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same where somebody waits for the session.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// For so long after a failure every session that comes back is looked at.
const SUSPICIOUS_FOR: Duration = Duration::from_secs(10);

/// Gives a new session what the queue's and the channel's SQL relies on.
pub(crate) async fn pin(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(PINS).execute(connection).await?;
    Ok(())
}

/// Whether a session that nobody uses may be used.
pub(crate) async fn is_fit(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(SHORT_PATIENCE, ask(connection)).await, Ok(Ok(true)))
}

async fn ask(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::raw_sql(IS_FIT).fetch_one(connection).await?.try_get(0)
}

/// In what state a session was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Outside of a transaction, after whatever its user did.
    Returned,
    /// Outside of a transaction, after a failure; or a COMMIT is under way.
    Failed,
    /// Inside a transaction.
    Open,
}

/// Ends what is open, and gives the session back to its pool if it is fit. Not to be given up: it runs on a task of its own.
pub(crate) async fn examine(mut connection: PoolConnection<Postgres>, left: Left, failures: Failures) {
    let examined = tokio::time::timeout(PATIENCE, async {
        match left {
            Left::Returned => {}
            Left::Failed => failures.note(),
            Left::Open => end(&mut connection, &failures).await?,
        }
        ask(&mut connection).await
    });
    match examined.await {
        Ok(Ok(true)) => give_back(connection).await,
        unfit => {
            tracing::debug!(?unfit, "A session of the database is not fit for use: closing it");
            failures.note();
            // Nothing is waited for for long: whoever needs a session needs this one's place in the pool.
            let _ = tokio::time::timeout(SHORT_PATIENCE, connection.close()).await;
        }
    }
}

/// A handler that ends without a commit may just have had nothing to write; one of whose statements has failed is told from it here.
async fn end(connection: &mut PgConnection, failures: &Failures) -> sqlx::Result<()> {
    let Err(error) = sqlx::raw_sql(END_WHAT_HOLDS).execute(&mut *connection).await else { return Ok(()) };
    failures.note();
    let code = error.as_database_error().and_then(|error| error.code());
    if code.is_none_or(|code| code != FAILED_TRANSACTION) {
        return Err(error);
    }
    sqlx::raw_sql("ROLLBACK").execute(connection).await?;
    Ok(())
}

/// Back to the pool, which asks whether the session lives; one that does not answer is dropped.
pub(crate) async fn give_back(mut connection: PoolConnection<Postgres>) {
    let _ = tokio::time::timeout(PATIENCE, connection.return_to_pool()).await;
}

/// What has gone wrong in this process, for whoever wants to know whether the database takes writes. Clones are the same thing.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// How many there were.
    number: AtomicU64,
    /// After how many of them a write on trial has succeeded.
    refuted: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Failures {
    /// A statement or a transaction has failed.
    pub(crate) fn note(&self) {
        self.0.number.fetch_add(1, Ordering::Relaxed);
        *self.last() = Some(Instant::now());
    }

    /// Whether there was one just now.
    pub(crate) fn is_recent(&self) -> bool {
        self.0.number.load(Ordering::Relaxed) > 0
            && self.last().is_some_and(|last| last.elapsed() < SUSPICIOUS_FOR)
    }

    /// How many there were, if nothing was written on trial since.
    pub(crate) fn unrefuted(&self) -> Option<u64> {
        let number = self.0.number.load(Ordering::Relaxed);
        (number > self.0.refuted.load(Ordering::Relaxed)).then_some(number)
    }

    /// After so many the database has taken a write.
    pub(crate) fn refute(&self, number: u64) {
        self.0.refuted.fetch_max(number, Ordering::Relaxed);
    }

    /// What is guarded is valid at every step, also after a panic elsewhere.
    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
