//! `channel_notices`: what a person must not be told at every message.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::AddressId;
use crate::text_enum::text_enum;

text_enum! {
    /// What a person is told now and then.
    pub enum NoticeKind in ["channel_notices.about"] {
        /// How a phone is linked.
        Linking = "linking",
        /// The plan has no WhatsApp.
        Plan = "plan",
        /// The assistant may not talk to people of their country.
        Country = "country",
        /// Where a person is found.
        Human = "human",
        /// There were too many messages.
        Rate = "rate",
    }
}

/// Whether a person may be told this again, and if so notes that it happens now. The caller holds the address's lock.
pub async fn due(
    conn: &mut PgConnection,
    address_id: AddressId,
    about: NoticeKind,
    every_secs: f64,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let due: Option<bool> = sqlx::query_scalar(
        "INSERT INTO channel_notices AS n (address_id, about, told_at) VALUES ($1, $2, $4)
         ON CONFLICT (address_id, about) DO UPDATE SET told_at = $4 WHERE n.told_at <= $4 - make_interval(secs => $3) RETURNING TRUE",
    )
    .bind(address_id)
    .bind(about)
    .bind(every_secs)
    .bind(now)
    .fetch_optional(conn)
    .await?;
    Ok(due.is_some())
}
