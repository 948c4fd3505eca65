//! `channel_deployment`: what tells this database's conversations from another's at an agent's gateway that both use.

use sqlx::PgConnection;

/// The deployment's name, which is this fresh one if it has none yet.
pub async fn name(conn: &mut PgConnection, fresh: &str) -> sqlx::Result<String> {
    sqlx::query("INSERT INTO channel_deployment (name) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(fresh)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar("SELECT name FROM channel_deployment").fetch_one(conn).await
}
