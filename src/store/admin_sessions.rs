//! `channel_admin_sessions`: administrators who have logged in with a browser.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AdminSession {
    /// Who logged in.
    pub administrator: String,
    /// False: they may only look.
    pub may_act: bool,
}

/// Begins a session, and takes away some that are over.
pub async fn begin(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    session: &AdminSession,
    lasts: Duration,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM channel_admin_sessions WHERE hash = ANY (ARRAY(SELECT hash FROM channel_admin_sessions WHERE ends_at < now() ORDER BY ends_at LIMIT 100))")
        .execute(&mut *conn)
        .await?;
    let lasts =
        PgInterval { months: 0, days: 0, microseconds: i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX) };
    sqlx::query("INSERT INTO channel_admin_sessions (hash, administrator, may_act, ends_at) VALUES ($1, $2, $3, now() + $4)")
        .bind(hash.as_slice())
        .bind(&session.administrator)
        .bind(session.may_act)
        .bind(lasts)
        .execute(conn)
        .await?;
    Ok(())
}

/// The session that goes on under this hash; `None`: there is none.
pub async fn find(conn: &mut PgConnection, hash: &[u8; 32]) -> sqlx::Result<Option<AdminSession>> {
    sqlx::query_as(
        "SELECT administrator, may_act FROM channel_admin_sessions WHERE hash = $1 AND ends_at > now()",
    )
    .bind(hash.as_slice())
    .fetch_optional(conn)
    .await
}

/// Ends a session.
pub async fn end(conn: &mut PgConnection, hash: &[u8; 32]) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM channel_admin_sessions WHERE hash = $1")
        .bind(hash.as_slice())
        .execute(conn)
        .await?;
    Ok(())
}
