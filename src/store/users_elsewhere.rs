//! `channel_users_elsewhere`: users of other cells.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{CellName, UserId};

/// The cell of a user; `None`: the user belongs here, or nothing has been said.
pub async fn cell_of(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Option<CellName>> {
    sqlx::query_scalar("SELECT cell FROM channel_users_elsewhere WHERE user_id = $1")
        .bind(user_id)
        .fetch_optional(conn)
        .await
}

/// Keeps that a user belongs to another cell, instead of what was said before. Returns since when that is so.
pub async fn put(conn: &mut PgConnection, user_id: &UserId, cell: &CellName) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar(
        "INSERT INTO channel_users_elsewhere AS e (user_id, cell) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET cell = excluded.cell, since = CASE WHEN e.cell = excluded.cell THEN e.since ELSE excluded.since END
         RETURNING since",
    )
    .bind(user_id)
    .bind(cell)
    .fetch_one(conn)
    .await
}

/// Forgets that a user belongs to another cell. False: that was not said.
pub async fn delete(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<bool> {
    let gone = sqlx::query("DELETE FROM channel_users_elsewhere WHERE user_id = $1")
        .bind(user_id)
        .execute(conn)
        .await?;
    Ok(gone.rows_affected() > 0)
}
