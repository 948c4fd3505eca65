//! `channel_callbacks`: whether the product is told what becomes of deliveries and of what people agree to. Triggers enqueue what it is told, in the
//! transaction of each change, whoever makes it.

use sqlx::PgConnection;

/// Has triggers enqueue jobs of this kind from now on, in this pool, which are tried so often.
pub async fn switch_on(
    conn: &mut PgConnection,
    kind: &str,
    pool: &str,
    max_attempts: i16,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO channel_callbacks (kind, pool, max_attempts) VALUES ($1, $2, $3)
         ON CONFLICT (is_only) DO UPDATE SET kind = $1, pool = $2, max_attempts = $3",
    )
    .bind(kind)
    .bind(pool)
    .bind(max_attempts)
    .execute(conn)
    .await?;
    Ok(())
}

/// Nobody is told of anything from now on.
pub async fn switch_off(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM channel_callbacks").execute(conn).await?;
    Ok(())
}
