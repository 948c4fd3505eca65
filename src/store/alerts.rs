//! `channel_alerts`: what a person must look at.

use sqlx::PgConnection;

/// Raises an alert, or counts it to the one of the same cause that is younger than an hour. True: it is new, and worth an `error!`.
pub async fn raise(conn: &mut PgConnection, cause: &str, detail: &str) -> sqlx::Result<bool> {
    // Two processes that meet the same trouble at once must not both find nothing.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('alert ' || $1, 0))")
        .bind(cause)
        .execute(&mut *conn)
        .await?;
    let counted = sqlx::query(
        "UPDATE channel_alerts SET times = times + 1, last_seen_at = now(), detail = $2 WHERE id = (
             SELECT id FROM channel_alerts WHERE cause = $1 AND opened_at > now() - interval '1 hour' ORDER BY opened_at DESC LIMIT 1)",
    )
    .bind(cause)
    .bind(detail)
    .execute(&mut *conn)
    .await?;
    if counted.rows_affected() > 0 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO channel_alerts (cause, detail) VALUES ($1, $2)")
        .bind(cause)
        .bind(detail)
        .execute(conn)
        .await?;
    Ok(true)
}
