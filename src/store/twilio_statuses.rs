//! What Twilio says became of a message that it has accepted.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::chunks::ChunkState;
use crate::ids::ChunkId;
use crate::text_enum::text_enum;

text_enum! {
    /// Twilio's words for what became of a message, as far as they move a chunk.
    pub enum TwilioStatus in [] {
        /// WhatsApp has it.
        Sent = "sent",
        /// The phone has it.
        Delivered = "delivered",
        /// The person has seen it.
        Read = "read",
        /// It came to nothing, before WhatsApp had it.
        Failed = "failed",
        /// It came to nothing, on the way to the phone.
        Undelivered = "undelivered",
    }
}

impl TwilioStatus {
    /// Whether the message came to nothing for good.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Undelivered)
    }
}

/// Moves an accepted chunk forward by a status that Twilio reported. False: nothing changed, because the chunk is in
/// that state or a later one, or the status is unknown. Callbacks overtake each other, so a chunk may skip states,
/// and a failure applies only while no delivery is known. The caller holds the chunk's lock.
pub async fn apply(
    conn: &mut PgConnection,
    id: ChunkId,
    status: &str,
    code: Option<i32>,
    message: Option<&str>,
) -> sqlx::Result<bool> {
    use ChunkState::{Accepted, Delivered, Failed, Read, Sent};
    let Ok(status) = status.parse() else { return Ok(false) };
    let (state, from): (ChunkState, &[ChunkState]) = match status {
        TwilioStatus::Sent => (Sent, &[Accepted]),
        TwilioStatus::Delivered => (Delivered, &[Accepted, Sent, Failed]),
        TwilioStatus::Read => (Read, &[Accepted, Sent, Failed, Delivered]),
        TwilioStatus::Failed | TwilioStatus::Undelivered => (Failed, &[Accepted, Sent]),
    };
    let done = sqlx::query(
        "UPDATE channel_chunks SET state = $2, error_code = $3, error_message = $4, updated_at = clock_timestamp()
         WHERE id = $1 AND sid IS NOT NULL AND state = ANY ($5)",
    )
    .bind(id)
    .bind(state)
    .bind(code)
    .bind(message)
    .bind(from)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An accepted chunk whose final state is not known.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Unsettled {
    /// The chunk's number.
    pub id: ChunkId,
    /// Twilio's id of its message.
    pub sid: String,
    /// When we learned that Twilio had accepted it.
    pub accepted_at: DateTime<Utc>,
}

/// Chunks without a final state that Twilio accepted at least `older_than_secs` ago and that were looked up
/// `look_ups` times. The oldest first, at most 1000.
pub async fn unsettled(
    conn: &mut PgConnection,
    look_ups: i16,
    older_than_secs: f64,
) -> sqlx::Result<Vec<Unsettled>> {
    sqlx::query_as(
        "SELECT id, sid, accepted_at FROM channel_chunks
         WHERE state IN ('accepted', 'sent') AND sid IS NOT NULL AND status_look_ups = $1 AND accepted_at <= now() - make_interval(secs => $2)
         ORDER BY accepted_at LIMIT 1000",
    )
    .bind(look_ups)
    .bind(older_than_secs)
    .fetch_all(conn)
    .await
}

/// Notes that Twilio was asked for the final state of these chunks.
pub async fn note_look_up(conn: &mut PgConnection, ids: &[ChunkId]) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_chunks SET status_look_ups = status_look_ups + 1 WHERE id = ANY ($1)")
        .bind(ids)
        .execute(conn)
        .await?;
    Ok(())
}
