//! `channel_chunks`: each is one Twilio message, sent once.
//!
//! [`crate::send_attempts`] has the way to Twilio, [`crate::twilio_statuses`] what became of a message there.
//!
//! Whatever writes `state` here also moves the allowance and its ledger: the trigger `whatsapp_meter_state` counts the
//! chunk, and `whatsapp_withdraw_credit` takes a credit back (`migrations/functions.sql`). [`crate::allowances::credit`]
//! gives one.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{AddressId, ChunkId, DeliveryId};
use crate::send_attempts::{self, SendOutcome};
use crate::text_enum::text_enum;

text_enum! {
    /// Where a chunk stands.
    pub enum ChunkState in ["channel_chunks.state"] {
        /// It is to be sent.
        Planned = "planned",
        /// Twilio may have it, and only proof leads on from there.
        Sending = "sending",
        /// Twilio has it.
        Accepted = "accepted",
        /// WhatsApp has it.
        Sent = "sent",
        /// The phone has it.
        Delivered = "delivered",
        /// The person has seen it.
        Read = "read",
        /// Twilio or WhatsApp refused it.
        Failed = "failed",
        /// It shall not be sent any more.
        Cancelled = "cancelled",
        /// It must not be sent.
        Blocked = "blocked",
        /// It was not sent in time.
        Expired = "expired",
        /// It may have been sent or not; nobody will ever know.
        Unknown = "unknown",
    }
}

text_enum! {
    /// What Twilio is given.
    pub enum ChunkForm in ["channel_chunks.form"] {
        /// The chunk's own words.
        Text = "text",
        /// The delivery's template.
        Template = "template",
    }
}

/// A chunk with what its delivery says about sending it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Chunk {
    /// Its number.
    pub id: ChunkId,
    /// The delivery it is a part of.
    pub delivery_id: DeliveryId,
    /// To whom.
    pub address_id: AddressId,
    /// Its place in the delivery, from 0.
    pub index: i32,
    /// Exactly what is sent.
    pub body: String,
    /// Counts against the allowance.
    pub meter_proactive: bool,
    /// Carries the footer.
    pub has_footer: bool,
    /// Where it stands.
    pub state: ChunkState,
    /// The number of the last attempt to send it.
    pub attempt: i32,
    /// The alias that the last attempt wrote to.
    pub sent_to: Option<String>,
    /// When the last attempt's request is given up.
    pub deadline_at: Option<DateTime<Utc>>,
    /// When the last attempt began.
    pub attempt_started_at: Option<DateTime<Utc>>,
    /// The link under which it is sent has neither ended nor waits for a new claim; what is sent under none needs none.
    pub link_holds: bool,
    /// It is the channel's own word about a message, and no answer of the assistant.
    pub is_notice: bool,
    /// Its delivery is of our own accord: an opt-out stops it.
    pub of_own_accord: bool,
    /// The template that is sent; `None`: its body is sent.
    pub content_sid: Option<String>,
    /// The template's variables.
    pub content_variables: Option<serde_json::Value>,
    /// The moment that the sender's pace gave it.
    pub send_at: Option<DateTime<Utc>>,
    /// Quiet hours may mean something for its delivery.
    pub has_quiet_rule: bool,
    /// Not sent any more after this.
    pub expires_at: DateTime<Utc>,
    /// The database's clock now.
    pub now: DateTime<Utc>,
}

/// A chunk by its number. Who wants to change it reads it by [`lock`].
pub async fn get(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<Option<Chunk>> {
    sqlx::query_as(
        "SELECT c.id, c.delivery_id, d.address_id, c.index, c.body, c.meter_proactive, c.has_footer, c.state, c.attempt, c.sent_to, c.deadline_at,
                a.started_at AS attempt_started_at, (l.ended_at IS NULL AND l.unproven_since IS NULL) AS link_holds,
                d.purpose = 'notice' AS is_notice,
                d.purpose IN ('notification', 'scheduled') AS of_own_accord, CASE WHEN c.form = 'template' THEN d.content_sid END AS content_sid,
                CASE WHEN c.form = 'template' THEN d.content_variables END AS content_variables, c.send_at,
                d.quiet_rule IS NOT NULL AS has_quiet_rule, d.expires_at, clock_timestamp() AS now
         FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
         LEFT JOIN channel_links l ON l.id = d.link_id
         LEFT JOIN channel_send_attempts a ON a.chunk_id = c.id AND a.attempt = c.attempt
         WHERE c.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Locks a chunk's delivery and the chunk itself, in this order, and reads it. The caller holds the address's lock if it needs it.
pub async fn lock(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<Option<Chunk>> {
    sqlx::query("SELECT FROM channel_deliveries d WHERE d.id = (SELECT delivery_id FROM channel_chunks WHERE id = $1) FOR UPDATE")
        .bind(id)
        .execute(&mut *conn)
        .await?;
    sqlx::query("SELECT FROM channel_chunks WHERE id = $1 FOR UPDATE").bind(id).execute(&mut *conn).await?;
    get(conn, id).await
}

/// Locks the deliveries of these chunks, in the order of their ids.
pub async fn lock_deliveries(conn: &mut PgConnection, ids: &[ChunkId]) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT FROM channel_deliveries d WHERE d.id = ANY (ARRAY(SELECT delivery_id FROM channel_chunks WHERE id = ANY ($1)))
         ORDER BY d.id FOR UPDATE",
    )
    .bind(ids)
    .execute(conn)
    .await?;
    Ok(())
}

/// The chunk that Twilio knows by this SID.
pub async fn find_by_sid(conn: &mut PgConnection, sid: &str) -> sqlx::Result<Option<ChunkId>> {
    sqlx::query_scalar("SELECT id FROM channel_chunks WHERE sid = $1").bind(sid).fetch_optional(conn).await
}

/// The chunk before this one in its delivery: its state, and how many seconds ago Twilio accepted it.
pub async fn before(
    conn: &mut PgConnection,
    chunk: &Chunk,
) -> sqlx::Result<Option<(ChunkState, Option<f64>)>> {
    sqlx::query_as(
        "SELECT state, extract(epoch FROM clock_timestamp() - accepted_at)::DOUBLE PRECISION FROM channel_chunks WHERE delivery_id = $1 AND index = $2",
    )
    .bind(chunk.delivery_id)
    .bind(chunk.index - 1)
    .fetch_optional(conn)
    .await
}

/// The chunk behind this one in its delivery.
pub async fn after(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<Option<ChunkId>> {
    sqlx::query_scalar(
        "SELECT next.id FROM channel_chunks c JOIN channel_chunks next ON next.delivery_id = c.delivery_id AND next.index = c.index + 1 WHERE c.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// planned or sending → an end, with its reason. False: the chunk was in another state.
pub async fn end(
    conn: &mut PgConnection,
    id: ChunkId,
    end: End,
    code: Option<i32>,
    reason: &str,
) -> sqlx::Result<bool> {
    let ended: Option<i32> = sqlx::query_scalar(
        "UPDATE channel_chunks SET state = $2, error_code = $3, error_message = $4, updated_at = clock_timestamp()
         WHERE id = $1 AND state IN ('planned', 'sending') RETURNING attempt",
    )
    .bind(id)
    .bind(end.state())
    .bind(code)
    .bind(reason)
    .fetch_optional(&mut *conn)
    .await?;
    if let (Some(attempt), End::Failed) = (ended, end) {
        send_attempts::end(conn, id, attempt, SendOutcome::Refused, None, code, Some(reason)).await?;
    }
    Ok(ended.is_some())
}

/// Keeps the send time that the sender's pace gave a chunk.
pub async fn keep_send_time(
    conn: &mut PgConnection,
    id: ChunkId,
    send_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_chunks SET send_at = $2 WHERE id = $1")
        .bind(id)
        .bind(send_at)
        .execute(conn)
        .await?;
    Ok(())
}

/// The planned chunks of a delivery, in order: what is left to send.
pub async fn planned(conn: &mut PgConnection, delivery_id: DeliveryId) -> sqlx::Result<Vec<Chunk>> {
    let ids: Vec<ChunkId> = sqlx::query_scalar(
        "SELECT id FROM channel_chunks WHERE delivery_id = $1 AND state = 'planned' ORDER BY index",
    )
    .bind(delivery_id)
    .fetch_all(&mut *conn)
    .await?;
    let mut chunks = Vec::with_capacity(ids.len());
    for id in ids {
        chunks.extend(get(conn, id).await?);
    }
    Ok(chunks)
}

/// The chunk that has waited longest to be sent: the first planned one of the oldest open delivery. A probe of the
/// sender tries it.
pub async fn longest_waiting(conn: &mut PgConnection) -> sqlx::Result<Option<ChunkId>> {
    sqlx::query_scalar(
        "SELECT next.id
         FROM channel_deliveries d CROSS JOIN LATERAL (
             SELECT c.id FROM channel_chunks c
             WHERE c.delivery_id = d.id AND c.state = 'planned'
               AND NOT EXISTS (SELECT FROM channel_chunks before WHERE before.delivery_id = d.id AND before.index < c.index AND before.state = 'sending')
             ORDER BY c.index LIMIT 1) AS next
         WHERE d.state = 'open' AND d.expires_at > now()
         ORDER BY d.state, d.id LIMIT 1",
    )
    .fetch_optional(conn)
    .await
}

/// How a chunk ends without having been accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Twilio refused it.
    Failed,
    /// It must not be sent.
    Blocked,
    /// It shall not be sent any more.
    Cancelled,
    /// It was not sent in time.
    Expired,
    /// It may have been sent or not; nobody will ever know.
    Unknown,
}

impl End {
    pub(crate) fn state(self) -> ChunkState {
        match self {
            Self::Failed => ChunkState::Failed,
            Self::Blocked => ChunkState::Blocked,
            Self::Cancelled => ChunkState::Cancelled,
            Self::Expired => ChunkState::Expired,
            Self::Unknown => ChunkState::Unknown,
        }
    }
}
