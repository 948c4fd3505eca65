//! `whatsapp_sends`: a user's allowance of metered messages in a billing period.

use sqlx::PgConnection;

use crate::periods::Period;

/// What became of an allowance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Usage {
    /// Accepted by Twilio.
    pub used: i32,
    /// Planned, not yet accepted.
    pub reserved: i32,
    /// Accepted, and failed for good afterwards.
    pub credited: i32,
}

/// What a user has used of a period.
pub async fn usage(conn: &mut PgConnection, user_id: &str, period: Period) -> sqlx::Result<Usage> {
    let usage = sqlx::query_as(
        "SELECT used, reserved, credited FROM whatsapp_sends WHERE user_id = $1 AND period_start = $2",
    )
    .bind(user_id)
    .bind(period.start)
    .fetch_optional(conn)
    .await?;
    Ok(usage.unwrap_or_default())
}

/// Whether so many more would fit into an allowance now. Only [`reserve`] is sure.
pub async fn fits(
    conn: &mut PgConnection,
    user_id: &str,
    period: Period,
    cap: u32,
    chunks: usize,
) -> sqlx::Result<bool> {
    let usage = usage(conn, user_id, period).await?;
    let wanted =
        i64::from(usage.used) + i64::from(usage.reserved) + i64::try_from(chunks).unwrap_or(i64::MAX);
    Ok(wanted <= i64::from(cap) + i64::from(usage.credited))
}

/// Reserves these chunks in an allowance, all or none. However many ask at once, the cap is never passed: the row is changed under its own
/// condition, in one statement. From here on the chunks' states move it.
pub async fn reserve(
    conn: &mut PgConnection,
    user_id: &str,
    period: Period,
    cap: u32,
    chunk_ids: &[i64],
) -> sqlx::Result<bool> {
    sqlx::query("INSERT INTO whatsapp_sends (user_id, period_start, period_end) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(user_id)
        .bind(period.start)
        .bind(period.end)
        .execute(&mut *conn)
        .await?;
    let number = i32::try_from(chunk_ids.len()).unwrap_or(i32::MAX);
    let done = sqlx::query(
        "UPDATE whatsapp_sends SET reserved = reserved + $3 WHERE user_id = $1 AND period_start = $2 AND used + reserved + $3 <= $4::BIGINT + credited",
    )
    .bind(user_id)
    .bind(period.start)
    .bind(number)
    .bind(i64::from(cap))
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "WITH reserved AS (UPDATE channel_chunks SET metering = 'reserved' WHERE id = ANY ($3) RETURNING id)
         INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event) SELECT $1, $2, id, 'reserved' FROM reserved",
    )
    .bind(user_id)
    .bind(period.start)
    .bind(chunk_ids)
    .execute(conn)
    .await?;
    Ok(true)
}

/// Gives a chunk back that was accepted and then failed for good, once. The caller holds the chunk's lock.
pub async fn credit(conn: &mut PgConnection, chunk_id: i64) -> sqlx::Result<()> {
    sqlx::query("SELECT whatsapp_meter(c, 'credited') FROM channel_chunks c WHERE c.id = $1 AND c.metering = 'used' AND c.state = 'failed'")
        .bind(chunk_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// An allowance whose counters are not what its ledger says.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Drift {
    /// Whose.
    pub user_id: String,
    /// Which counters, as they are and as they should be.
    pub detail: String,
}

/// Every allowance that differs from its ledger.
pub async fn drift(conn: &mut PgConnection) -> sqlx::Result<Vec<Drift>> {
    sqlx::query_as(
        "WITH told AS (
             SELECT user_id, period_start, count(*) FILTER (WHERE event = 'used') AS used, count(*) FILTER (WHERE event = 'credited') AS credited,
                    count(*) FILTER (WHERE event = 'reserved') - count(*) FILTER (WHERE was = 'reserved') AS reserved
             FROM whatsapp_send_ledger GROUP BY user_id, period_start)
         SELECT s.user_id, format('used %s, reserved %s, credited %s; the ledger says %s, %s, %s', s.used, s.reserved, s.credited,
                                  coalesce(t.used, 0), coalesce(t.reserved, 0), coalesce(t.credited, 0)) AS detail
         FROM whatsapp_sends s LEFT JOIN told t USING (user_id, period_start)
         WHERE (s.used, s.reserved, s.credited) IS DISTINCT FROM (coalesce(t.used, 0), coalesce(t.reserved, 0), coalesce(t.credited, 0))
         ORDER BY s.user_id",
    )
    .fetch_all(conn)
    .await
}
