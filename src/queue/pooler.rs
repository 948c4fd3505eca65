//! Finds out whether there is a pooler between us and the database, and what is missing for our SQL to work behind it.
//!
//! Behind a pooler in transaction mode each transaction may run in another session of the server. LISTEN and session
//! locks are lost there, so they use `database.direct_url`. Prepared statements work if the pooler supports them. What
//! [`crate::session_health`] sets stays in one session of the server, so the role's defaults must be right.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, Postgres, Row as _};

/// How we connect to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Each of our sessions is a session of the server.
    Direct,
    /// Through a pooler in transaction mode that supports prepared statements, and past it where needed.
    Pooled,
}

/// Why a connection to the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PoolerError {
    /// Everything that is wrong with it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    PoolerProblem(Vec<PoolerProblem>),
    /// There is no answer.
    #[error("the database does not answer: check {key}")]
    Away {
        /// The setting that names the address.
        key: &'static str,
        /// What happened.
        #[source]
        error: sqlx::Error,
    },
}

/// One thing that is wrong with a connection.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolerProblem {
    /// The address of the server itself is not set.
    #[error(
        "database.url goes through a pooler in transaction mode, which loses LISTEN and the lock of migrations: set database.direct_url to the \
         address of the server itself"
    )]
    DirectUrl,
    /// Prepared statements would fail.
    #[error(
        "database.url goes through a pooler that does not carry prepared statements from one session of the server to another: use PgBouncer 1.21 \
         or later with max_prepared_statements above 0"
    )]
    PreparedStatements,
    /// There are no transactions.
    #[error(
        "database.url goes through a pooler that refuses transactions: use its transaction mode (pool_mode = transaction)"
    )]
    Transactions,
    /// The direct address leads through a pooler, too.
    #[error(
        "database.direct_url goes through a pooler in transaction mode itself: set it to the address of the server"
    )]
    DirectUrlIsPooled,
    /// Notifications and migrations would go to another database.
    #[error(
        "database.direct_url leads to another database than database.url: both must name the same database of the same server"
    )]
    SameDatabase,
    /// Concurrent statements would fail with serialization errors.
    #[error(
        "behind a pooler the role's own settings decide, and new sessions of {role} have default_transaction_isolation = '{level}': run ALTER ROLE \
         {role} IN DATABASE {database} SET default_transaction_isolation = 'read committed', then RECONNECT in the pooler's console"
    )]
    ReadCommitted {
        /// The role of `database.url`, as SQL spells it.
        role: String,
        /// Its database, as SQL spells it.
        database: String,
        /// What it has now.
        level: String,
    },
}

/// How often the server process of two sessions is looked up. Once is enough unless other clients use the pooler
/// meanwhile.
const ROUNDS: usize = 3;

/// An answer that takes longer waits for a free server session in the pooler.
const PATIENCE: Duration = Duration::from_secs(1);

/// Checks the address in `database.url` and, if set, the one in `database.direct_url`. `patience`: how long to wait for
/// a connection.
///
/// # Errors
/// Everything that is missing, each with its remedy.
pub async fn check(
    url: &PgConnectOptions,
    direct: Option<&PgConnectOptions>,
    patience: Duration,
) -> Result<Route, PoolerError> {
    let url_is_away = |error| PoolerError::Away { key: "database.url (DATABASE_URL)", error };
    let mut sessions = SessionPair::connect(url, patience).await.map_err(url_is_away)?;
    let found = sessions.find_mode().await.map_err(url_is_away)?;
    let mut missing = Vec::new();
    match found {
        PoolMode::Statement => missing.push(PoolerProblem::Transactions),
        PoolMode::Transaction { prepared_statements: false } => {
            missing.push(PoolerProblem::PreparedStatements)
        }
        PoolMode::Session | PoolMode::Transaction { prepared_statements: true } => {}
    }
    match direct {
        Some(direct) => {
            let is_away = |error| PoolerError::Away { key: "database.direct_url", error };
            let direct = SessionPair::connect(direct, patience).await.map_err(is_away)?;
            missing.extend(direct.check_direct(&mut sessions, found).await.map_err(is_away)?);
        }
        None if found != PoolMode::Session => missing.push(PoolerProblem::DirectUrl),
        None => {}
    }
    if found != PoolMode::Session {
        missing.extend(wrong_isolation(&mut sessions.first).await.map_err(url_is_away)?);
    }
    match (found, missing.is_empty()) {
        (_, false) => Err(PoolerError::PoolerProblem(missing)),
        (PoolMode::Session, true) => Ok(Route::Direct),
        (_, true) => Ok(Route::Pooled),
    }
}

/// How server sessions are assigned to ours, in PgBouncer's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PoolMode {
    /// Each of ours is one of the server: no pooler, or one in session mode.
    Session,
    /// For each transaction.
    Transaction {
        /// Whether prepared statements work in every session of the server.
        prepared_statements: bool,
    },
    /// For each statement; there are no transactions.
    Statement,
}

/// Two sessions at one address.
struct SessionPair {
    first: PoolConnection<Postgres>,
    second: PoolConnection<Postgres>,
}

/// The server processes in which each of two sessions has been.
#[derive(Default)]
struct ServerProcesses {
    first: BTreeSet<i32>,
    second: BTreeSet<i32>,
}

impl ServerProcesses {
    /// A direct session has one server process for as long as it lives, and shares it with no other.
    fn shows_a_pooler(&self) -> bool {
        self.first.len() > 1 || self.second.len() > 1 || !self.first.is_disjoint(&self.second)
    }
}

impl SessionPair {
    async fn connect(options: &PgConnectOptions, patience: Duration) -> sqlx::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(patience);
        let pool = pool.connect_lazy_with(options.clone());
        Ok(Self { first: pool.acquire().await?, second: pool.acquire().await? })
    }

    /// Finds the mode.
    async fn find_mode(&mut self) -> sqlx::Result<PoolMode> {
        let mut seen = ServerProcesses::default();
        for _ in 0..ROUNDS {
            if let Err(error) = self.observe(&mut seen).await {
                // Frees a server session that the other session may need.
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *self.second).await;
                return recognize(error);
            }
        }
        Ok(if seen.shows_a_pooler() {
            PoolMode::Transaction { prepared_statements: true }
        } else {
            PoolMode::Session
        })
    }

    /// Looks up the server process of each session, alone and while the other session is in a transaction.
    async fn observe(&mut self, seen: &mut ServerProcesses) -> sqlx::Result<()> {
        // A pooler that uses its server sessions in turns shows here. One that reuses the last one shows with the
        // second session.
        for _ in 0..2 {
            seen.first.extend(server_process(&mut self.first).await?);
        }
        seen.second.extend(server_process(&mut self.second).await?);
        for _ in 0..2 {
            sqlx::raw_sql("BEGIN").execute(&mut *self.second).await?;
            seen.second.extend(server_process(&mut self.second).await?);
            // Another server session, in which the statement was not prepared.
            seen.first.extend(server_process(&mut self.first).await?);
            sqlx::raw_sql("ROLLBACK").execute(&mut *self.second).await?;
            std::mem::swap(&mut self.first, &mut self.second);
            std::mem::swap(&mut seen.first, &mut seen.second);
        }
        Ok(())
    }

    /// What is wrong with this pair as the direct one beside `other`, whose mode is `found`.
    async fn check_direct(
        mut self,
        other: &mut Self,
        found: PoolMode,
    ) -> sqlx::Result<Option<PoolerProblem>> {
        if self.find_mode().await? != PoolMode::Session {
            return Ok(Some(PoolerProblem::DirectUrlIsPooled));
        }
        // Without transactions the database cannot be compared, and nothing works anyway.
        let same =
            found == PoolMode::Statement || is_same_database(&mut self.first, &mut other.first).await?;
        Ok((!same).then_some(PoolerProblem::SameDatabase))
    }
}

/// The server process of a session, looked up by a prepared statement; `None` if the pooler has no free server session.
async fn server_process(session: &mut PgConnection) -> sqlx::Result<Option<i32>> {
    let asked = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(session);
    tokio::time::timeout(PATIENCE, asked).await.ok().transpose()
}

/// The mode that an error shows: a prepared statement was missing or exists already, or BEGIN was refused.
fn recognize(error: sqlx::Error) -> sqlx::Result<PoolMode> {
    let of_database = error.as_database_error();
    match of_database.and_then(|error| error.code()).as_deref() {
        Some("42P05" | "26000") => Ok(PoolMode::Transaction { prepared_statements: false }),
        _ if of_database.is_some_and(|error| error.message().contains("statement pooling mode")) => {
            Ok(PoolMode::Statement)
        }
        _ => Err(error),
    }
}

/// Whether both sessions see the same advisory lock. Such a lock belongs to one database of one running server, so a
/// copy or a standby does not have it.
async fn is_same_database(direct: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<bool> {
    let lock = rand::random();
    begin_with_lock(direct, lock).await?;
    let taken = begin_with_lock(other, lock).await?;
    sqlx::raw_sql("ROLLBACK").execute(other).await?;
    sqlx::raw_sql("ROLLBACK").execute(direct).await?;
    Ok(!taken)
}

/// Begins a transaction and takes this lock. False: it is taken already. The statement is not kept prepared, since the
/// pooler may forget it.
async fn begin_with_lock(session: &mut PgConnection, lock: i64) -> sqlx::Result<bool> {
    sqlx::raw_sql("BEGIN").execute(&mut *session).await?;
    let take = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(lock).persistent(false);
    take.fetch_one(session).await
}

/// Whether new sessions start with another isolation level than read committed. Prepared statements may not work here.
async fn wrong_isolation(session: &mut PgConnection) -> sqlx::Result<Option<PoolerProblem>> {
    let level_of_new_sessions =
        "SELECT reset_val, quote_ident(current_user), quote_ident(current_database()) FROM pg_settings
        WHERE name = 'default_transaction_isolation'";
    let row = sqlx::raw_sql(level_of_new_sessions).fetch_one(session).await?;
    let level: String = row.try_get(0)?;
    if level == "read committed" {
        return Ok(None);
    }
    Ok(Some(PoolerProblem::ReadCommitted { role: row.try_get(1)?, database: row.try_get(2)?, level }))
}
