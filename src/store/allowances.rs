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
