//! Whether the way to the database leads through a pooler, and what is missing for the queue's and the channel's SQL to work there.
//!
//! Behind a pooler in transaction mode each transaction may run in another process of the server. LISTEN and a session's locks are lost
//! there, so they take a way of their own, `database.direct_url`. Prepared statements work if the pooler carries them along. What
//! [`crate::fitness`] pins stays in the session of the server that happened to be used, so there the defaults of the role must be right.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, Postgres, Row as _};

/// How the database is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A session is a session of the server.
    Direct,
    /// Through a pooler in transaction mode that carries prepared statements, and past it where that is needed.
    Pooled,
}

/// Why a way to the database cannot be gone.
#[derive(Debug, thiserror::Error)]
pub enum Unsuitable {
    /// All that is wrong with it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Missing(Vec<Missing>),
    /// It leads nowhere.
    #[error("the database does not answer: check {key}")]
    Away {
        /// Which key names it.
        key: &'static str,
        /// What happened.
        #[source]
        error: sqlx::Error,
    },
}

/// One thing that is wrong with a way.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Nothing but the pooler is known.
    #[error(
        "database.url goes through a pooler in transaction mode, which loses LISTEN and the lock of migrations: set database.direct_url to the \
         address of the server itself"
    )]
    DirectUrl,
    /// Every second statement would fail.
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
    /// The way past the pooler leads through one.
    #[error(
        "database.direct_url goes through a pooler in transaction mode itself: set it to the address of the server"
    )]
    StraightWay,
    /// Jobs would be announced where nobody listens, and migrations change something else.
    #[error(
        "database.direct_url leads to another database than database.url: both must name the same database of the same server"
    )]
    SameDatabase,
    /// Sessions that cannot be pinned would fail statements that two of them run at once.
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

/// Rounds of asking in which process of the server two sessions are. One is enough unless others use the pooler meanwhile.
const ROUNDS: usize = 3;

/// An answer that waits for longer waits for a place in the pooler.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks at the way that `database.url` names and, where there is one, at that of `database.direct_url`. `patience`: how long to wait for a
/// connection.
///
/// # Errors
/// Everything that is missing, each with its remedy.
pub async fn check(
    url: &PgConnectOptions,
    direct: Option<&PgConnectOptions>,
    patience: Duration,
) -> Result<Path, Unsuitable> {
    let url_is_away = |error| Unsuitable::Away { key: "database.url (DATABASE_URL)", error };
    let mut way = Way::connect(url, patience).await.map_err(url_is_away)?;
    let found = way.look().await.map_err(url_is_away)?;
    let mut missing = Vec::new();
    match found {
        Found::NoTransactions => missing.push(Missing::Transactions),
        Found::Pooler { carries: false } => missing.push(Missing::PreparedStatements),
        Found::Sessions | Found::Pooler { carries: true } => {}
    }
    match direct {
        Some(direct) => {
            let is_away = |error| Unsuitable::Away { key: "database.direct_url", error };
            let past = Way::connect(direct, patience).await.map_err(is_away)?;
            missing.extend(past.lacks(&mut way, found).await.map_err(is_away)?);
        }
        None if found != Found::Sessions => missing.push(Missing::DirectUrl),
        None => {}
    }
    if found != Found::Sessions {
        missing.extend(unpinned(&mut way.first).await.map_err(url_is_away)?);
    }
    match (found, missing.is_empty()) {
        (_, false) => Err(Unsuitable::Missing(missing)),
        (Found::Sessions, true) => Ok(Path::Direct),
        (_, true) => Ok(Path::Pooled),
    }
}

/// What stands between two sessions and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing, or a pooler in session mode.
    Sessions,
    /// A pooler in transaction mode.
    Pooler {
        /// Whether a prepared statement is known wherever its session gets to.
        carries: bool,
    },
    /// A pooler in statement mode.
    NoTransactions,
}

/// Two sessions at one address.
struct Way {
    first: PoolConnection<Postgres>,
    second: PoolConnection<Postgres>,
}

/// In which processes of the server each of them has been.
#[derive(Default)]
struct Seen {
    first: BTreeSet<i32>,
    second: BTreeSet<i32>,
}

impl Seen {
    /// A session of the server is one process for as long as it lives, and nobody else's.
    fn tells_of_a_pooler(&self) -> bool {
        self.first.len() > 1 || self.second.len() > 1 || !self.first.is_disjoint(&self.second)
    }
}

impl Way {
    async fn connect(options: &PgConnectOptions, patience: Duration) -> sqlx::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(patience);
        let pool = pool.connect_lazy_with(options.clone());
        Ok(Self { first: pool.acquire().await?, second: pool.acquire().await? })
    }

    /// What is found holds for as long as nobody changes the pooler.
    async fn look(&mut self) -> sqlx::Result<Found> {
        let mut seen = Seen::default();
        for _ in 0..ROUNDS {
            if let Err(error) = self.look_once(&mut seen).await {
                // It may have a place of the pooler that the other one needs.
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *self.second).await;
                return recognize(error);
            }
        }
        Ok(if seen.tells_of_a_pooler() { Found::Pooler { carries: true } } else { Found::Sessions })
    }

    /// Asks each session by itself, and each while the other one is in a transaction.
    async fn look_once(&mut self, seen: &mut Seen) -> sqlx::Result<()> {
        // A pooler that takes its sessions in turns shows here, one that takes the last one again shows with the other session.
        for _ in 0..2 {
            seen.first.extend(process(&mut self.first).await?);
        }
        seen.second.extend(process(&mut self.second).await?);
        for _ in 0..2 {
            sqlx::raw_sql("BEGIN").execute(&mut *self.second).await?;
            seen.second.extend(process(&mut self.second).await?);
            // A process where its statement was not prepared.
            seen.first.extend(process(&mut self.first).await?);
            sqlx::raw_sql("ROLLBACK").execute(&mut *self.second).await?;
            std::mem::swap(&mut self.first, &mut self.second);
            std::mem::swap(&mut seen.first, &mut seen.second);
        }
        Ok(())
    }

    /// What is wrong with this way past the other one, of which so much was found.
    async fn lacks(mut self, other: &mut Self, found: Found) -> sqlx::Result<Option<Missing>> {
        if self.look().await? != Found::Sessions {
            return Ok(Some(Missing::StraightWay));
        }
        // Without transactions this cannot be found out, and nothing works anyway.
        let same =
            found == Found::NoTransactions || is_same_database(&mut self.first, &mut other.first).await?;
        Ok((!same).then_some(Missing::SameDatabase))
    }
}

/// The process of the server in which a session is, asked by a prepared statement; none if the pooler has no place for it now.
async fn process(session: &mut PgConnection) -> sqlx::Result<Option<i32>> {
    let asked = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(session);
    tokio::time::timeout(PATIENCE, asked).await.ok().transpose()
}

/// What an error says of the pooler: a prepared statement was missing or somebody else's, or BEGIN was refused.
fn recognize(error: sqlx::Error) -> sqlx::Result<Found> {
    let of_database = error.as_database_error();
    match of_database.and_then(|error| error.code()).as_deref() {
        Some("42P05" | "26000") => Ok(Found::Pooler { carries: false }),
        _ if of_database.is_some_and(|error| error.message().contains("statement pooling mode")) => {
            Ok(Found::NoTransactions)
        }
        _ => Err(error),
    }
}

/// Whether a lock that one of them takes is one for the other. Such a lock is of a database of a running server, so neither a copy nor a
/// standby has it.
async fn is_same_database(direct: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<bool> {
    let lock = rand::random();
    begin_with_lock(direct, lock).await?;
    let taken = begin_with_lock(other, lock).await?;
    sqlx::raw_sql("ROLLBACK").execute(other).await?;
    sqlx::raw_sql("ROLLBACK").execute(direct).await?;
    Ok(!taken)
}

/// Begins a transaction that has this lock. False: somebody else has it. The statement is prepared for the transaction alone, since a pooler
/// may forget it then.
async fn begin_with_lock(session: &mut PgConnection, lock: i64) -> sqlx::Result<bool> {
    sqlx::raw_sql("BEGIN").execute(&mut *session).await?;
    let take = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(lock).persistent(false);
    take.fetch_one(session).await
}

/// What the sessions of the server begin with, whatever was set in them since. Prepared statements may not work here.
async fn unpinned(session: &mut PgConnection) -> sqlx::Result<Option<Missing>> {
    let ask = "SELECT reset_val, quote_ident(current_user), quote_ident(current_database()) FROM pg_settings
        WHERE name = 'default_transaction_isolation'";
    let row = sqlx::raw_sql(ask).fetch_one(session).await?;
    let level: String = row.try_get(0)?;
    if level == "read committed" {
        return Ok(None);
    }
    Ok(Some(Missing::ReadCommitted { role: row.try_get(1)?, database: row.try_get(2)?, level }))
}
