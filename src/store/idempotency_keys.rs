//! `channel_idempotency_keys`: the same request within a day is the same delivery.

use sqlx::PgConnection;

use crate::ids::{DeliveryId, UserId};

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct KeptRequest {
    /// Of the request.
    pub body_hash: Vec<u8>,
    /// What came of it.
    pub delivery_id: DeliveryId,
}

/// What a key stands for, if it was used within a day. Concurrent requests with one key are serialised.
pub async fn find(conn: &mut PgConnection, user_id: &UserId, key: &str) -> sqlx::Result<Option<KeptRequest>> {
    sqlx::query(
        "SELECT pg_advisory_xact_lock(hashtextextended(concat('idempotency ', $1::TEXT, ' ', $2::TEXT), 0))",
    )
    .bind(user_id)
    .bind(key)
    .execute(&mut *conn)
    .await?;
    sqlx::query("DELETE FROM channel_idempotency_keys WHERE user_id = $1 AND key = $2 AND created_at <= now() - interval '1 day'")
        .bind(user_id)
        .bind(key)
        .execute(&mut *conn)
        .await?;
    sqlx::query_as(
        "SELECT body_hash, delivery_id FROM channel_idempotency_keys WHERE user_id = $1 AND key = $2",
    )
    .bind(user_id)
    .bind(key)
    .fetch_optional(conn)
    .await
}

/// Keeps what came of a request.
pub async fn keep(
    conn: &mut PgConnection,
    user_id: &UserId,
    key: &str,
    body_hash: &[u8],
    delivery_id: DeliveryId,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO channel_idempotency_keys (user_id, key, body_hash, delivery_id) VALUES ($1, $2, $3, $4)",
    )
    .bind(user_id)
    .bind(key)
    .bind(body_hash)
    .bind(delivery_id)
    .execute(conn)
    .await?;
    Ok(())
}
