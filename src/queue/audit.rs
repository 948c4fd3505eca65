//! `queue.audit`: what administrators did.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AuditRow {
    /// In order of acting.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What they did.
    pub action: String,
    /// To what.
    pub target: String,
    /// What came of it.
    pub outcome: String,
}

/// What was done, the newest first, of lower numbers than `before`.
pub async fn newest(conn: &mut PgConnection, before: Option<i64>, limit: i64) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as("SELECT id, at, actor, action, target, outcome FROM queue.audit WHERE id < $1 ORDER BY id DESC LIMIT $2")
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(conn)
        .await
}

/// Keeps what an administrator did. The caller's transaction has it together with the deed.
pub async fn note(
    conn: &mut PgConnection,
    actor: &str,
    action: &str,
    target: &str,
    outcome: &str,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO queue.audit (actor, action, target, outcome) VALUES ($1, $2, $3, $4)")
        .bind(actor)
        .bind(action)
        .bind(target)
        .bind(outcome)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets a page of the oldest actions, where they are older than this. True: there may be more.
pub async fn forget_page(conn: &mut PgConnection, age: Duration) -> sqlx::Result<bool> {
    let gone = sqlx::query(
        "DELETE FROM queue.audit WHERE id = ANY (ARRAY(
             SELECT id FROM (SELECT id, at FROM queue.audit ORDER BY id LIMIT 500) page WHERE at < now() - make_interval(secs => $1)))",
    )
    .bind(age.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(gone.rows_affected() == 500)
}
