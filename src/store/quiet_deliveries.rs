//! `channel_deliveries` that wait for the end of quiet hours: with no job and no reservation, whoever they are for.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::deliveries::Delivery;
use crate::ids::{DeliveryId, UserId};

/// A delivery whose quiet hours have ended.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DueDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// For whom; `None`: nobody any more.
    pub user_id: Option<UserId>,
}

/// Deliveries whose quiet hours have ended, those that ended first.
pub async fn due(conn: &mut PgConnection, number: i64) -> sqlx::Result<Vec<DueDelivery>> {
    sqlx::query_as(
        "SELECT id, user_id FROM channel_deliveries
         WHERE state = 'waiting' AND NOT waits_for_inbound AND waits_until <= now() ORDER BY waits_until, id LIMIT $1",
    )
    .bind(number)
    .fetch_all(conn)
    .await
}

/// A delivery whose quiet hours have ended, locked. `None`: somebody else has planned it, or it waits on.
pub async fn lock_due(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Option<Delivery>> {
    sqlx::query_as(
        "SELECT id, user_id, address_id, purpose, text, content_sid, content_variables, state, reason, expires_at, waits_for_inbound, waits_until, quiet_rule,
                created_at, (SELECT c.delivery_id FROM channel_chunks c WHERE c.id = resent_from) AS resent_from
         FROM channel_deliveries WHERE id = $1 AND state = 'waiting' AND NOT waits_for_inbound AND waits_until <= now() FOR UPDATE",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Whether something of a delivery has left, or may have: proof of an attempt that nobody knows about may still come.
pub async fn has_begun(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_chunks c WHERE c.delivery_id = $1 AND (c.state NOT IN ('planned', 'blocked')
             OR EXISTS (SELECT FROM channel_send_attempts a WHERE a.chunk_id = c.id AND a.outcome IS DISTINCT FROM 'not_sent' AND a.outcome IS DISTINCT FROM 'refused')))",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}

/// Lets an open delivery of which nothing has left wait for the end of quiet hours. Its chunks are cancelled, which gives their reservations back, and go
/// to a delivery of their own, which keeps their history. The caller holds the delivery's lock.
pub async fn put_off(
    conn: &mut PgConnection,
    id: DeliveryId,
    waits_until: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_chunks SET state = 'cancelled', error_message = 'quiet_hours', updated_at = clock_timestamp() WHERE delivery_id = $1 AND state = 'planned'",
    )
    .bind(id)
    .execute(&mut *conn)
    .await?;
    let history = DeliveryId::generate();
    sqlx::query(
        "INSERT INTO channel_deliveries (id, address_id, link_id, user_id, period_start, purpose, text, content_sid, content_variables, state, reason, expires_at, closed_at)
         SELECT $2, address_id, link_id, user_id, period_start, purpose, text, content_sid, content_variables, 'cancelled', 'quiet_hours', expires_at, clock_timestamp()
         FROM channel_deliveries WHERE id = $1",
    )
    .bind(id)
    .bind(history)
    .execute(&mut *conn)
    .await?;
    sqlx::query("UPDATE channel_chunks SET delivery_id = $2 WHERE delivery_id = $1")
        .bind(id)
        .bind(history)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "UPDATE channel_deliveries SET state = 'waiting', address_id = NULL, link_id = NULL, period_start = NULL, waits_until = $2, expires_at = $3
         WHERE id = $1 AND state = 'open'",
    )
    .bind(id)
    .bind(waits_until)
    .bind(expires_at)
    .execute(conn)
    .await?;
    Ok(())
}
