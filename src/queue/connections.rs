//! Connection pools, and what may be done with them. Whatever becomes of whoever uses a connection, the next one gets a session that is fit
//! for use: see [`crate::fitness`].

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{PgPool, Postgres};
use tokio::runtime::Handle;

use crate::fitness::{self, Failures, Left};
use crate::worker;

/// A connection that has been idle for longer is asked whether it is fit before it is used. One that was used just now is not: the
/// question costs a round trip, as much as many a statement. A server that restarts within this time is met as an error, which the
/// workers try again after.
pub(crate) const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Options for a pool of callers that enqueue; its size is the caller's to set.
#[must_use]
pub fn options() -> PgPoolOptions {
    PgPoolOptions::new()
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(fitness::pin(connection)))
        .before_acquire(|connection, metadata| {
            Box::pin(async move { Ok(metadata.idle_for <= TRUSTED_FOR || fitness::is_fit(connection).await) })
        })
}

/// Options for the pool that [`crate::Queue::open`] is given where workers run. A new connection has looked up its tables and planned its
/// statements before it is used: that takes longer than the first claim itself.
#[must_use]
pub fn for_workers() -> PgPoolOptions {
    options().after_connect(|connection, _| {
        Box::pin(async move {
            fitness::pin(&mut *connection).await?;
            // A database without tables, or one that has just gone away, is told of by who uses the connection.
            if let Err(error) = make_ready(connection).await {
                tracing::debug!(error = %error, "A new connection could not be made ready: {error}");
            }
            Ok(())
        })
    })
}

/// Waits for no lock: a lease may have to be renewed on this connection. The time-out is the transaction's: behind a pooler the session is
/// somebody else's a moment later.
async fn make_ready(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("BEGIN; SET LOCAL lock_timeout = '50ms'").execute(&mut *connection).await?;
    let ready = async {
        worker::claimed::make_ready(connection).await?;
        worker::completer::make_ready(connection).await
    }
    .await;
    sqlx::raw_sql("ROLLBACK").execute(connection).await?;
    ready
}

/// A pool of connections. Clones are the same pool.
///
/// sqlx's own pool hands a connection out again whose transaction is open, where a caller was dropped while it began one (sqlx 0.9.0,
/// transact-rs/sqlx #4385), so nothing of the service uses that pool by itself.
#[derive(Clone, Debug)]
pub struct Connections {
    pg: PgPool,
    failures: Failures,
    /// How to reach the server itself where the pool reaches a pooler.
    direct: Option<Arc<PgConnectOptions>>,
}

impl From<PgPool> for Connections {
    fn from(pg: PgPool) -> Self {
        Self { pg, failures: Failures::default(), direct: None }
    }
}

impl From<&PgPool> for Connections {
    fn from(pg: &PgPool) -> Self {
        pg.clone().into()
    }
}

impl From<&Self> for Connections {
    fn from(connections: &Self) -> Self {
        connections.clone()
    }
}

impl Connections {
    /// A pool, ideally with [`options`], whose failures are noted with those of others.
    #[must_use]
    pub fn new(pg: PgPool, failures: Failures) -> Self {
        Self { pg, failures, direct: None }
    }

    /// The same where the pool reaches the server through a pooler in transaction mode, which loses LISTEN: what must not go through it goes here.
    #[must_use]
    pub fn with_direct(self, direct: PgConnectOptions) -> Self {
        Self { direct: Some(Arc::new(direct)), ..self }
    }

    /// How the server itself is reached.
    #[must_use]
    pub fn direct(&self) -> Arc<PgConnectOptions> {
        self.direct.clone().unwrap_or_else(|| self.pg.connect_options())
    }

    /// Waits for a free connection, or a new one.
    pub async fn acquire(&self) -> sqlx::Result<Connection> {
        Ok(Connection { inner: Some(self.pg.acquire().await?), failures: self.failures.clone() })
    }

    /// Begins a transaction that wakes nobody; see [`crate::Queue::begin`] for one that enqueues jobs.
    pub async fn begin(&self) -> sqlx::Result<PlainTransaction> {
        let mut transaction = PlainTransaction { connection: Some(self.acquire().await?), left: Left::Open };
        sqlx::raw_sql(fitness::BEGIN).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Asks something that is a statement by itself. A connection on which it fails is examined.
    pub async fn ask<T, E: From<sqlx::Error>>(
        &self,
        question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.acquire().await?;
        let answer = question(&mut connection).await;
        if answer.is_err() {
            connection.examine(Left::Failed);
        }
        answer
    }

    /// Whether the database takes writes. As long as nothing has failed, the session's word is enough; otherwise something is written on trial.
    pub async fn can_write(&self) -> sqlx::Result<bool> {
        let Some(failures) = self.failures.unrefuted() else {
            let can = "SELECT current_setting('transaction_read_only') = 'off'";
            return self.ask(async |conn| sqlx::query_scalar(can).fetch_one(conn).await).await;
        };
        self.ask(async |conn| sqlx::query("SELECT queue.write_on_trial()").execute(conn).await).await?;
        self.failures.refute(failures);
        Ok(true)
    }

    /// The pool behind it, for migrations and for settings.
    #[must_use]
    pub fn raw(&self) -> &PgPool {
        &self.pg
    }
}

/// A connection on loan. When it is dropped the pool gets it back, or closes it.
#[derive(Debug)]
pub struct Connection {
    /// Gone only when it is dropped.
    inner: Option<PoolConnection<Postgres>>,
    failures: Failures,
}

/// Why a connection is there.
const UNTIL_DROPPED: &str = "a connection is there until it is dropped";

impl Connection {
    /// Has the connection looked at, and closed if it is not fit.
    pub(crate) fn examine(mut self, left: Left) {
        self.hand_over(Some(left));
    }

    fn hand_over(&mut self, left: Option<Left>) {
        let Some(inner) = self.inner.take() else { return };
        match (Handle::try_current(), left) {
            (Ok(runtime), Some(left)) => {
                drop(runtime.spawn(fitness::examine(inner, left, self.failures.clone())));
            }
            (Ok(runtime), None) => drop(runtime.spawn(fitness::give_back(inner))),
            // The process ends, and its connections with it.
            (Err(_), _) => drop(inner.detach()),
        }
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
        // What its user has met is not seen here, so in bad times everything is looked at.
        self.hand_over(self.failures.is_recent().then_some(Left::Returned));
    }
}

/// A transaction. Dropped without a commit it is rolled back, wherever its user has left it, and its connection is examined.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub struct PlainTransaction {
    /// Gone only when it is dropped, or has ended well.
    connection: Option<Connection>,
    left: Left,
}

impl PlainTransaction {
    /// Commits. An error leaves open whether it has happened.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        self.left = Left::Failed;
        self.end("COMMIT").await
    }

    /// Undoes everything. Dropping does the same, later.
    pub async fn rollback(mut self) -> sqlx::Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, statement: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(statement).execute(&mut **self).await?;
        self.connection = None;
        Ok(())
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
            connection.examine(self.left);
        }
    }
}
