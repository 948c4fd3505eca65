//! One borrowed connection of a pool, and a transaction on it. Whatever happens to their user, the connection goes back in a state that can be used.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Postgres};
use tokio::runtime::Handle;

use crate::idle_connections::Loan;
use crate::session_health::{self, Failures, ReleaseState};

/// A borrowed connection. When it is dropped it goes back to its pool, or is closed.
#[derive(Debug)]
pub struct Connection {
    /// `None` only while it is dropped.
    inner: Option<PoolConnection<Postgres>>,
    failures: Failures,
    pub(crate) left_pool_at: Instant,
    /// Where idle connections are kept, and this one is not idle.
    pub(crate) loan: Option<Loan>,
}

/// Why a connection is there.
const UNTIL_DROPPED: &str = "a connection is there until it is dropped";

impl Connection {
    pub(crate) fn new(inner: PoolConnection<Postgres>, failures: Failures, loan: Option<Loan>) -> Self {
        Self { inner: Some(inner), failures, left_pool_at: Instant::now(), loan }
    }

    /// Hands the connection on to the next caller. Its last statement has succeeded, and no transaction is open.
    pub(crate) fn hand_on(mut self) {
        if let Some(loan) = self.loan.take() {
            loan.end(self);
        }
    }

    /// Gives the connection back by way of a check, which closes it if it cannot be used.
    pub(crate) fn examine(mut self, state: ReleaseState) {
        self.hand_over(Some(state));
    }

    fn hand_over(&mut self, state: Option<ReleaseState>) {
        let Some(inner) = self.inner.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            // Without a runtime the process is ending, and the server sees the connection close.
            drop(inner.detach());
            return;
        };
        let (loan, failures) = (self.loan.take(), self.failures.clone());
        drop(runtime.spawn(async move {
            match state {
                Some(state) => session_health::examine(inner, state, failures).await,
                None => session_health::give_back(inner).await,
            }
            drop(loan);
        }));
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.inner.as_ref().expect(UNTIL_DROPPED)
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.inner.as_mut().expect(UNTIL_DROPPED)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whether the user's statements failed is not known here, so after a recent failure every connection is
        // checked.
        self.hand_over(self.failures.is_recent().then_some(ReleaseState::Returned));
    }
}

/// A transaction. Dropped without a commit it is rolled back, at whatever point its user was dropped, and its
/// connection is examined.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub struct PlainTransaction {
    /// `None` once it has ended well, or while it is dropped.
    connection: Option<Connection>,
    state: ReleaseState,
}

impl PlainTransaction {
    pub(crate) async fn begin(connection: Connection) -> sqlx::Result<Self> {
        let mut transaction = Self { connection: Some(connection), state: ReleaseState::InTransaction };
        sqlx::raw_sql(session_health::BEGIN).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Commits. After an error it is unknown whether the commit happened.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        self.state = ReleaseState::Failed;
        self.end("COMMIT").await
    }

    /// Rolls back. Dropping does the same, on a task of its own.
    pub async fn rollback(mut self) -> sqlx::Result<()> {
        self.end("ROLLBACK").await
    }

    /// Runs a last statement that returns one row, and commits, in one round trip. If the statement fails, nothing is committed; after
    /// another error it is unknown whether the commit happened.
    pub(crate) async fn commit_after(mut self, statement: &str) -> sqlx::Result<PgRow> {
        let both = AssertSqlSafe(format!("{statement}; COMMIT"));
        self.state = ReleaseState::Failed;
        match sqlx::raw_sql(both).fetch_all(&mut *self).await {
            Ok(mut rows) => {
                self.hand_on();
                rows.pop().ok_or(sqlx::Error::RowNotFound)
            }
            Err(error) => {
                // A statement that the server refuses leaves the transaction open. Whether it was that one or the COMMIT is not known here.
                if error.as_database_error().is_some() {
                    self.state = ReleaseState::InTransaction;
                    self.connection.iter().for_each(|connection| connection.failures.note());
                }
                Err(error)
            }
        }
    }

    async fn end(&mut self, statement: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(statement).execute(&mut **self).await?;
        self.hand_on();
        Ok(())
    }

    fn hand_on(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.hand_on();
        }
    }
}

impl Deref for PlainTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect(UNTIL_DROPPED)
    }
}

impl DerefMut for PlainTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect(UNTIL_DROPPED)
    }
}

impl Drop for PlainTransaction {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.examine(self.state);
        }
    }
}
