//! Connection pools. Whatever happens to a user of a connection, the next user gets a session that can be used: see
//! [`crate::session_health`].

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};

use crate::connection::{Connection, PlainTransaction};
use crate::idle_connections::IdleConnections;
use crate::session_health::{self, Failures, ReleaseState};
use crate::worker;

/// A connection that has been idle in its pool for longer is checked before it is used. The check costs a round trip, as much as
/// many a statement, so a connection that was used just now is not checked. If the server restarts within this time, a
/// statement fails and is tried again.
const CHECK_AFTER_IDLE: Duration = Duration::from_secs(1);

/// For so long a committed write proves that the database takes writes.
const PROVEN_FOR: Duration = Duration::from_secs(1);

/// Options for the pool of a process or a part of it; the caller sets the size.
#[must_use]
pub fn options() -> PgPoolOptions {
    PgPoolOptions::new()
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(session_health::apply_settings(connection)))
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                Ok(metadata.idle_for <= CHECK_AFTER_IDLE || session_health::is_usable(connection).await)
            })
        })
}

/// Options for the pool that [`crate::Queue::open`] gets in a process that runs workers. A new connection plans its
/// statements before it is used, since planning takes longer than a claim itself.
#[must_use]
pub fn for_workers() -> PgPoolOptions {
    options().after_connect(|connection, _| {
        Box::pin(async move {
            session_health::apply_settings(&mut *connection).await?;
            // Without tables, or with the database away, the first statement of the user fails and says so.
            if let Err(error) = prepare(connection).await {
                tracing::debug!(error = %error, "Could not prepare the statements of a new connection: {error}");
            }
            Ok(())
        })
    })
}

/// Prepares and plans the workers' statements. It waits for no lock, since a lease may have to be renewed on this
/// connection. The time-out is set for the transaction alone: behind a pooler the session serves other clients
/// afterwards.
async fn prepare(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("BEGIN; SET LOCAL lock_timeout = '50ms'").execute(&mut *connection).await?;
    let prepared = async {
        worker::claimed::prepare(connection).await?;
        worker::outcome_store::prepare(connection).await
    }
    .await;
    sqlx::raw_sql("ROLLBACK").execute(connection).await?;
    prepared
}

/// A pool of connections. Clones are the same pool.
///
/// If a caller is dropped while it begins a transaction, sqlx's own pool hands that connection out again with the
/// transaction open (sqlx 0.9.0, transact-rs/sqlx #4385). So nothing of the service uses a sqlx pool directly.
#[derive(Clone, Debug)]
pub struct Connections {
    pg: PgPool,
    failures: Failures,
    /// `None`: every connection goes back to the pool.
    pub(crate) idle: Option<Arc<IdleConnections>>,
    /// The address of the server itself where the pool connects to a pooler.
    direct: Option<Arc<PgConnectOptions>>,
}

/// How far a pool of connections is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Somebody works with these.
    pub used: u32,
    /// These are open, used or not.
    pub open: u32,
    /// So many may be opened.
    pub allowed: u32,
}

impl From<PgPool> for Connections {
    /// Connections that are not handed on from caller to caller.
    fn from(pg: PgPool) -> Self {
        Self { pg, failures: Failures::default(), idle: None, direct: None }
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
    /// A pool, best with [`options`], whose failures are counted together with those of other pools. One caller hands
    /// its connection on to the next. Needs a tokio runtime.
    #[must_use]
    pub fn new(pg: PgPool, failures: Failures) -> Self {
        Self { pg, failures, idle: None, direct: None }.keeping_idle()
    }

    /// Has callers hand their connections on, if they do not yet. At most half of the pool's connections are idle here;
    /// direct users of the pool have the other half.
    pub(crate) fn keeping_idle(self) -> Self {
        if self.idle.is_some() {
            return self;
        }
        let idle = IdleConnections::of(self.pg.clone(), self.failures.clone());
        Self { idle: Some(idle), ..self }
    }

    /// Sets the address of the server itself. Needed behind a pooler in transaction mode, which loses LISTEN.
    #[must_use]
    pub fn with_direct(self, direct: PgConnectOptions) -> Self {
        Self { direct: Some(Arc::new(direct)), ..self }
    }

    /// The address of the server itself.
    #[must_use]
    pub fn direct(&self) -> Arc<PgConnectOptions> {
        self.direct.clone().unwrap_or_else(|| self.pg.connect_options())
    }

    /// The most connections that the pool may open.
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.pg.options().get_max_connections()).unwrap_or(usize::MAX)
    }

    /// Waits for a free connection, or a new one.
    pub async fn acquire(&self) -> sqlx::Result<Connection> {
        match &self.idle {
            Some(idle) => idle.take().await,
            None => Ok(Connection::new(self.pg.acquire().await?, self.failures.clone(), None)),
        }
    }

    /// Begins a transaction that wakes nobody; see [`crate::Queue::begin`] for one that enqueues jobs. A connection that
    /// was lost a moment ago fails here, where nothing is done yet. So a second one is tried, and the caller does not
    /// notice.
    pub async fn begin(&self) -> sqlx::Result<PlainTransaction> {
        let first = self.acquire().await?;
        match PlainTransaction::begin(first).await {
            Ok(transaction) => Ok(transaction),
            Err(_) => {
                // From here on idle connections are checked before they are used.
                self.failures.note();
                PlainTransaction::begin(self.acquire().await?).await
            }
        }
    }

    /// Runs a statement outside of a transaction. If it fails or is dropped, its connection is examined; otherwise the
    /// next caller gets the connection as it is.
    pub async fn run<T, E: From<sqlx::Error>>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.acquire().await?;
        let answer = statement(&mut connection).await;
        match &answer {
            Ok(_) => connection.hand_on(),
            Err(_) => connection.examine(ReleaseState::Failed),
        }
        answer
    }

    /// Notes that a write was committed on one of these connections, which spares [`Self::can_write`] a question.
    pub fn note_commit(&self) {
        self.failures.note_commit();
    }

    /// Whether the database takes writes. A write that was committed a moment ago is the proof. Otherwise, without failures
    /// so far, the session's own setting tells; after one, a row is written on trial.
    pub async fn can_write(&self) -> sqlx::Result<bool> {
        if self.failures.committed_within(PROVEN_FOR) {
            return Ok(true);
        }
        let Some(failures) = self.failures.since_last_write() else {
            let can = "SELECT current_setting('transaction_read_only') = 'off'";
            return self.run(async |conn| sqlx::query_scalar(can).fetch_one(conn).await).await;
        };
        self.write_on_trial().await?;
        self.failures.note_write(failures);
        Ok(true)
    }

    /// Whether the database takes writes, by a row that is written on trial. False: it is read-only; whatever else keeps it from taking writes is the
    /// error.
    pub async fn try_to_write(&self) -> sqlx::Result<bool> {
        let can = "SELECT current_setting('transaction_read_only') = 'off'";
        let can: bool = self.run(async |conn| sqlx::query_scalar(can).fetch_one(conn).await).await?;
        if can {
            self.write_on_trial().await?;
        }
        Ok(can)
    }

    async fn write_on_trial(&self) -> sqlx::Result<()> {
        self.run(async |conn| sqlx::query("SELECT queue.write_on_trial()").execute(conn).await).await?;
        Ok(())
    }

    /// How far the pool is used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let open = self.pg.size();
        let idle = self.pg.num_idle() + self.idle.as_ref().map_or(0, |idle| idle.number());
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        Usage { used: open.saturating_sub(idle), open, allowed: self.pg.options().get_max_connections() }
    }

    /// The pool behind it, for migrations and for settings.
    #[must_use]
    pub fn raw(&self) -> &PgPool {
        &self.pg
    }
}
