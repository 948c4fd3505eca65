//! Sends of which nobody knows whether they arrived: what an administrator sees and says of them, at a terminal or over HTTP.

use std::fmt;

use serde::Serialize;
use sqlx::PgConnection;
use store::chunks::ChunkState;
use store::ids::{ChunkId, DeliveryId};
use utoipa::ToSchema;

/// A send in doubt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InDoubt {
    /// The chunk's number.
    #[schema(value_type = i64)]
    chunk: ChunkId,
    /// The delivery it is a part of.
    #[schema(value_type = Uuid)]
    delivery: DeliveryId,
    /// Its place in the delivery, from 0.
    index: i32,
    /// `sending`, or `unknown` when everything has been tried.
    state: ChunkState,
    /// Attempts to send it.
    attempts: i32,
    /// To whom, with the middle hidden.
    to: String,
    /// What is known.
    reason: Option<String>,
}

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunk, delivery, index, state, attempts, to, reason } = self;
        let reason = reason.as_deref().unwrap_or("its process died while it was being sent");
        write!(
            f,
            "chunk {chunk}  {state}  to {to}  part {index} of delivery {delivery}, {attempts} attempts: {reason}"
        )
    }
}

/// Everything in doubt, the oldest first, at most 200.
pub(crate) async fn in_doubt(conn: &mut PgConnection) -> sqlx::Result<Vec<InDoubt>> {
    let chunks = store::in_doubt::open(conn).await?;
    let shown = chunks.into_iter().map(|chunk| InDoubt {
        chunk: chunk.id,
        delivery: chunk.delivery_id,
        index: chunk.index,
        state: chunk.state,
        attempts: chunk.attempt,
        to: twilio::address::masked(&chunk.sent_to.unwrap_or_default()),
        reason: chunk.error_message,
    });
    Ok(shown.collect())
}
