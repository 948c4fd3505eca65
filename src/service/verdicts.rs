//! Sends of which nobody knows whether they arrived: what an administrator sees and says of them, at a terminal or over HTTP.

use std::fmt;

use channel::outbound::proactive::{self, PlanError};
use queue::Queue;
use queue::connections::Connections;
use serde::Serialize;
use sqlx::PgConnection;
use store::chunks::ChunkState;
use store::deliveries::DeliveryState;
use store::ids::{ChunkId, DeliveryId};
use store::in_doubt::AdminVerdict;
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
    #[schema(value_type = String)]
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

/// Gives a verdict, and lets the delivery go on. Returns the delivery's state; `None`: the chunk is not in doubt.
pub(crate) async fn give(
    queue: &Queue,
    pg: &Connections,
    chunk_id: ChunkId,
    verdict: AdminVerdict,
    actor: &str,
) -> Result<Option<DeliveryState>, PlanError> {
    let mut tx = queue.begin(pg).await?;
    let Some(chunk) = store::chunks::get(&mut tx, chunk_id).await? else { return Ok(None) };
    store::addresses::lock(&mut tx, chunk.address_id).await?;
    store::chunks::lock(&mut tx, chunk_id).await?;
    if !store::in_doubt::give_verdict(&mut tx, chunk_id, verdict).await? {
        return Ok(None);
    }
    store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
    proactive::go_on(&mut tx, chunk.delivery_id).await?;
    tx.wake(&channel::lanes::chunk_key(chunk_id)).await?;
    let delivery = store::deliveries::get(&mut tx, chunk.delivery_id).await?;
    tx.commit().await?;
    tracing::warn!(chunk.id = chunk_id.0, actor, "A verdict on chunk {chunk_id}: {verdict:?}");
    Ok(delivery.map(|delivery| delivery.state))
}
