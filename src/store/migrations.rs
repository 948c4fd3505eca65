//! Makes the tables and keeps them up to date.

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

/// Every migration, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Brings the database up to date. Several processes may start at once: an advisory lock lets one work and the others wait.
pub async fn run(pg: &PgPool) -> Result<(), MigrateError> {
    MIGRATOR.run(pg).await
}

/// How many migrations the database still lacks; all of them if it has none of our tables.
pub async fn missing(pg: &PgPool) -> sqlx::Result<usize> {
    let known: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(pg).await?;
    if !known {
        return Ok(MIGRATOR.iter().count());
    }
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pg).await?;
    Ok(MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).count())
}
