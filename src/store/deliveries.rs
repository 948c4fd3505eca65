//! `channel_deliveries`: logical outbound messages. A delivery is written once, with its chunks; afterwards its state only follows
//! theirs.

use std::ops::Range;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Why something is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The agent's answer to a message: not metered, no footer.
    Reply,
    /// The channel's own word about a message, a confirmation say: not metered, no footer.
    Notice,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Notice => "notice",
        }
    }
}

/// A delivery that was planned.
#[derive(Debug)]
pub struct NewDelivery<'a> {
    /// To whom.
    pub address_id: i64,
    /// In which thread.
    pub conversation_id: Option<i64>,
    /// Which turn it answers; a turn is answered once.
    pub turn_id: Option<i64>,
    /// Which message a notice answers; a message gets one notice.
    pub message_id: Option<i64>,
    /// It is sent only while this link holds; `None`: to whoever has the address.
    pub link_id: Option<i64>,
    /// Why.
    pub purpose: Purpose,
    /// The author's text.
    pub text: &'a str,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// Its parts, in order.
    pub chunks: Vec<NewChunk<'a>>,
}

/// A part of a delivery that was planned.
#[derive(Debug)]
pub struct NewChunk<'a> {
    /// Exactly what is sent.
    pub body: &'a str,
    /// The bytes of the author's text that it covers.
    pub source: Range<usize>,
    /// Counts against the allowance.
    pub meter_proactive: bool,
    /// Carries the footer.
    pub proactive: bool,
}

/// Stores a delivery with its chunks; returns its id and theirs, in order.
pub async fn create(conn: &mut PgConnection, delivery: NewDelivery<'_>) -> sqlx::Result<(Uuid, Vec<i64>)> {
    let id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO channel_deliveries (id, address_id, conversation_id, turn_id, message_id, link_id, purpose, text, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id)
    .bind(delivery.address_id)
    .bind(delivery.conversation_id)
    .bind(delivery.turn_id)
    .bind(delivery.message_id)
    .bind(delivery.link_id)
    .bind(delivery.purpose.as_str())
    .bind(delivery.text)
    .bind(delivery.expires_at)
    .execute(&mut *conn)
    .await?;
    let mut chunk_ids = Vec::with_capacity(delivery.chunks.len());
    for (index, chunk) in (0i32..).zip(&delivery.chunks) {
        let chunk_id = sqlx::query_scalar(
            "INSERT INTO channel_chunks (delivery_id, index, body, source_start, source_end, meter_proactive, proactive)
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
        )
        .bind(id)
        .bind(index)
        .bind(chunk.body)
        .bind(i32::try_from(chunk.source.start).unwrap_or(i32::MAX))
        .bind(i32::try_from(chunk.source.end).unwrap_or(i32::MAX))
        .bind(chunk.meter_proactive)
        .bind(chunk.proactive)
        .fetch_one(&mut *conn)
        .await?;
        chunk_ids.push(chunk_id);
    }
    Ok((id, chunk_ids))
}

/// Cancels what is still to be sent under a link that has ended. What Twilio may have already stays to be cleared up. The caller holds the
/// address's lock.
pub async fn cancel_of_link(conn: &mut PgConnection, link_id: i64, reason: &str) -> sqlx::Result<()> {
    let open: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM channel_deliveries WHERE link_id = $1 AND state = 'open' ORDER BY id FOR UPDATE",
    )
    .bind(link_id)
    .fetch_all(&mut *conn)
    .await?;
    for id in open {
        sqlx::query(
            "UPDATE channel_chunks SET state = 'cancelled', error_message = $2, updated_at = clock_timestamp() WHERE delivery_id = $1 AND state = 'planned'",
        )
        .bind(id)
        .bind(reason)
        .execute(&mut *conn)
        .await?;
        follow_chunks(conn, id).await?;
    }
    Ok(())
}

/// Lets a delivery's state follow its chunks: open while one is still to be sent; then the worst that happened to any of them. After a
/// failure in the middle the chunks behind it are cancelled: the rest of a text without its middle helps nobody.
pub async fn follow_chunks(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_chunks c SET state = 'cancelled', error_message = 'an earlier part was not sent', updated_at = clock_timestamp()
         WHERE c.delivery_id = $1 AND c.state = 'planned' AND EXISTS (
             SELECT FROM channel_chunks before
             WHERE before.delivery_id = $1 AND before.index < c.index AND before.state IN ('failed', 'cancelled', 'blocked', 'expired', 'unknown'))",
    )
    .bind(id)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE channel_deliveries d
         SET state = now_is.state, reason = CASE WHEN now_is.state IN ('sent', 'delivered') THEN NULL ELSE now_is.reason END,
             closed_at = CASE WHEN now_is.state = 'open' THEN NULL ELSE coalesce(d.closed_at, clock_timestamp()) END
         FROM (
             SELECT CASE
                        WHEN bool_or(c.state IN ('planned', 'sending')) THEN 'open'
                        WHEN bool_or(c.state = 'failed') THEN 'failed'
                        WHEN bool_or(c.state = 'unknown') THEN 'unknown'
                        WHEN bool_or(c.state = 'expired') THEN 'expired'
                        WHEN bool_or(c.state = 'blocked') THEN 'blocked'
                        WHEN bool_or(c.state = 'cancelled') THEN 'cancelled'
                        WHEN bool_and(c.state IN ('delivered', 'read')) THEN 'delivered'
                        ELSE 'sent'
                    END AS state,
                    (array_agg(c.error_message ORDER BY c.index) FILTER (WHERE c.state IN ('failed', 'cancelled', 'blocked', 'expired', 'unknown')))[1] AS reason
             FROM channel_chunks c WHERE c.delivery_id = $1
         ) AS now_is
         WHERE d.id = $1 AND d.state <> now_is.state",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(())
}
