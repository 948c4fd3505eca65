//! Makes the tables and functions and keeps them up to date.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

/// What makes the tables, compiled in. From the first release on it only grows.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// What makes the functions, compiled in: applied whole when the database has another text.
pub const FUNCTIONS: &str = include_str!("../../migrations/functions.sql");

/// The revision of [`FUNCTIONS`]. A change of that file raises it, so that a process of the previous build that
/// starts during a rolling deploy does not replace the newer functions.
pub const REVISION: i32 = 16;

/// Advisory lock that serialises migrations over all processes: any number that nothing else uses.
const LOCK: i64 = 0x6d69_6772;

/// Why the database cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// It is older than the first release.
    #[error(
        "its tables are those of a development build before the first release: make an empty database, and name it in DATABASE_URL"
    )]
    Former,
    /// A migration failed, or is another one than the database has.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The functions could not be made.
    #[error("the functions of migrations/functions.sql cannot be made")]
    Functions(#[source] sqlx::Error),
    /// The database refused or was away.
    #[error("the database does not answer")]
    Database(#[from] sqlx::Error),
}

/// Brings the database up to date. Several processes may start at once: one migrates and the others wait. The locks
/// belong to the session, and sqlx keeps its lock when a migration fails, so the session is taken out of the pool and
/// closed here.
pub async fn run(pg: &PgPool) -> Result<(), MigrationError> {
    let mut session = pg.acquire().await?.detach();
    let done = bring_up_to_date(&mut session).await;
    // Closing releases the locks at once for the processes that wait. An error here means that the session is gone
    // already.
    let _ = session.close().await;
    done
}

async fn bring_up_to_date(session: &mut PgConnection) -> Result<(), MigrationError> {
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut *session).await?;
    let mut migrator = sqlx::migrate!("../../migrations");
    // Those of a later build, which the build before runs on with.
    migrator.set_ignore_missing(true);
    match migrator.run(&mut *session).await {
        Err(MigrateError::VersionMismatch(1 | 2)) => Err(MigrationError::Former),
        done => Ok(done?),
    }?;
    make_functions(session).await.map_err(MigrationError::Functions)
}

/// Makes the functions if the database has an earlier text of them, or another one of the same revision.
async fn make_functions(session: &mut PgConnection) -> sqlx::Result<()> {
    let mut tx = session.begin().await?;
    let is_ours: Option<bool> = sqlx::query_scalar(
        "INSERT INTO channel_functions AS f (revision, hash) VALUES ($1, sha256(convert_to($2, 'UTF8')))
         ON CONFLICT (is_only) DO UPDATE SET revision = EXCLUDED.revision, hash = EXCLUDED.hash
         WHERE f.revision < EXCLUDED.revision OR f.revision = EXCLUDED.revision AND f.hash <> EXCLUDED.hash
         RETURNING TRUE",
    )
    .bind(REVISION)
    .bind(FUNCTIONS)
    .fetch_optional(&mut *tx)
    .await?;
    if is_ours.is_some() {
        sqlx::raw_sql(AssertSqlSafe(FUNCTIONS)).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// How many migrations the database still lacks, the functions counted as one; all of them if it has none of our tables.
pub async fn missing(pg: &PgPool) -> sqlx::Result<usize> {
    let all = MIGRATOR.iter().count() + 1;
    let (has_migrations, has_functions): (bool, bool) = sqlx::query_as(
        "SELECT to_regclass('_sqlx_migrations') IS NOT NULL, to_regclass('channel_functions') IS NOT NULL",
    )
    .fetch_one(pg)
    .await?;
    if !has_migrations {
        return Ok(all);
    }
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pg).await?;
    let migrations = MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).count();
    let revision: Option<i32> = if has_functions {
        sqlx::query_scalar("SELECT revision FROM channel_functions").fetch_optional(pg).await?
    } else {
        None
    };
    Ok(migrations + usize::from(revision.is_none_or(|revision| revision < REVISION)))
}
