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
    /// How what was changed stood before.
    pub before: Option<String>,
    /// And after.
    pub after: Option<String>,
}

/// How something stood before it was changed, and how it stands now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// Before; `None`: there was none.
    pub before: Option<&'a str>,
    /// Now; `None`: there is none.
    pub after: Option<&'a str>,
}

/// What was done, the newest first, of lower numbers than `before`.
pub async fn newest(conn: &mut PgConnection, before: Option<i64>, limit: i64) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as("SELECT id, at, actor, action, target, outcome, before, after FROM queue.audit WHERE id < $1 ORDER BY id DESC LIMIT $2")
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
    note_change(conn, actor, action, target, outcome, Change::default()).await
}

/// The same of what has changed something that can be said in a word or two.
pub async fn note_change(
    conn: &mut PgConnection,
    actor: &str,
    action: &str,
    target: &str,
    outcome: &str,
    Change { before, after }: Change<'_>,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO queue.audit (actor, action, target, outcome, before, after) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(actor)
        .bind(action)
        .bind(target)
        .bind(outcome)
        .bind(before)
        .bind(after)
        .execute(conn)
        .await?;
    Ok(())
}

/// The user of this id, as rows name one.
#[must_use]
pub fn user(id: &str) -> String {
    format!("user {id}")
}

/// Takes the id of an erased user out of what was done about them.
pub async fn forget_user(conn: &mut PgConnection, id: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE queue.audit SET target = 'an erased user' WHERE target = $1 AND target LIKE 'user %'",
    )
    .bind(user(id))
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
