//! `queue.audit`: what administrators did.

use sqlx::PgConnection;

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
