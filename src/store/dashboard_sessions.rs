//! `channel_dashboard_codes` and `channel_dashboard_sessions`: who may open a user's dashboard, and who has it open. Only hashes are stored. Both go with
//! their user, and neither counts while the user belongs to another cell.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::UserId;

/// Keeps a code for a user. Returns until when it is valid; `None`: there is no such user, or not in this cell.
pub async fn keep_code(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    user_id: &UserId,
    lasts: Duration,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar(
        "INSERT INTO channel_dashboard_codes (hash, user_id, ends_at)
         SELECT $1, u.id, clock_timestamp() + make_interval(secs => $3) FROM channel_users u
         WHERE u.id = $2 AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = $2) FOR KEY SHARE OF u
         RETURNING ends_at",
    )
    .bind(hash.as_slice())
    .bind(user_id)
    .bind(lasts.as_secs_f64())
    .fetch_optional(conn)
    .await
}

/// Uses a code up; of two who have it the first one gets the user. Its user is locked before it, as where a user is erased. `None`: it was used, is over,
/// or never was one.
pub async fn use_code(conn: &mut PgConnection, hash: &[u8; 32]) -> sqlx::Result<Option<UserId>> {
    let used: Option<(UserId, bool)> = sqlx::query_as(
        "WITH known AS (SELECT u.id FROM channel_dashboard_codes c JOIN channel_users u ON u.id = c.user_id WHERE c.hash = $1 FOR KEY SHARE OF u)
         DELETE FROM channel_dashboard_codes WHERE hash = $1 AND user_id IN (SELECT id FROM known) RETURNING user_id, ends_at > clock_timestamp()",
    )
    .bind(hash.as_slice())
    .fetch_optional(conn)
    .await?;
    Ok(used.filter(|(_, is_valid)| *is_valid).map(|(user_id, _)| user_id))
}

/// Begins a session. False: there is no such user, or not in this cell.
pub async fn begin(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    user_id: &UserId,
    lasts: Duration,
) -> sqlx::Result<bool> {
    let begun = sqlx::query(
        "INSERT INTO channel_dashboard_sessions (hash, user_id, ends_at)
         SELECT $1, u.id, clock_timestamp() + make_interval(secs => $3) FROM channel_users u
         WHERE u.id = $2 AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = $2) FOR KEY SHARE OF u",
    )
    .bind(hash.as_slice())
    .bind(user_id)
    .bind(lasts.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Whose session goes on under this hash; `None`: there is none.
pub async fn user_of(conn: &mut PgConnection, hash: &[u8; 32]) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar(
        "SELECT s.user_id FROM channel_dashboard_sessions s
         WHERE s.hash = $1 AND s.ends_at > clock_timestamp() AND NOT EXISTS (SELECT FROM channel_users_elsewhere e WHERE e.user_id = s.user_id)",
    )
    .bind(hash.as_slice())
    .fetch_optional(conn)
    .await
}

/// Ends a session.
pub async fn end(conn: &mut PgConnection, hash: &[u8; 32]) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM channel_dashboard_sessions WHERE hash = $1")
        .bind(hash.as_slice())
        .execute(conn)
        .await?;
    Ok(())
}
