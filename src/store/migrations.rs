//! Makes the tables and keeps them up to date.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, PgPool};

/// Every migration, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// A migration of which only a comment was changed after databases had it: its version, and the checksum of the text before, in hex.
const REWORDED: (i64, &str) =
    (25, "4230327350f6b6fdd20fccebd7aa0c149c276437c001a3efdcb19d2a890ce0816fbd75a93890918cfb1a5231e32a6fe3");

/// Brings the database up to date. Several processes may start at once: an advisory lock lets one work and the others wait. The lock is the
/// session's, and sqlx leaves it there when a migration fails, so the session is taken out of its pool and ends with this.
pub async fn run(pg: &PgPool) -> Result<(), MigrateError> {
    if is_known(pg).await? {
        accept_reworded(pg).await?;
    }
    let mut session = pg.acquire().await?.detach();
    let migrated = MIGRATOR.run(&mut session).await;
    // Whoever waits for the lock must not wait until the server notices; an error here says no more than that the session is gone already.
    let _ = session.close().await;
    migrated
}

/// Whether the database has been migrated before.
async fn is_known(pg: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(pg).await
}

/// Takes the earlier text of [`REWORDED`] for the present one, or the database would be refused for a comment.
async fn accept_reworded(pg: &PgPool) -> sqlx::Result<()> {
    let (version, before) = REWORDED;
    for migration in MIGRATOR.iter().filter(|migration| migration.version == version) {
        sqlx::query(
            "UPDATE _sqlx_migrations SET checksum = $3 WHERE version = $1 AND checksum = decode($2, 'hex')",
        )
        .bind(version)
        .bind(before)
        .bind(&*migration.checksum)
        .execute(pg)
        .await?;
    }
    Ok(())
}

/// How many migrations the database still lacks; all of them if it has none of our tables.
pub async fn missing(pg: &PgPool) -> sqlx::Result<usize> {
    if !is_known(pg).await? {
        return Ok(MIGRATOR.iter().count());
    }
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pg).await?;
    Ok(MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).count())
}
