//! Closes a chunk whose `send_chunk` will never run again.
//!
//! Enqueued by the queue when a `send_chunk` died or was cancelled. It enqueues nothing. It may run twice: a chunk that has its end is left
//! alone. What was being sent just then ends as unknown, since Twilio may have it.

use queue::claim::Claim;
use queue::failure::Failure;
use queue::job::{EndState, Ended, Job};
use serde::{Deserialize, Serialize};
use store::alerts::AlertCause;
use store::chunks::{ChunkState, End};

use crate::app::App;
use crate::look_up::UNRESOLVED;
use crate::post_alert;
use crate::send_chunk::SendChunk;

/// The `send_chunk` that ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseChunk(pub Ended<SendChunk>);

impl Job for CloseChunk {
    const KIND: &'static str = "close_chunk";
    const POOL: &'static str = "replies";
}

/// Does the work.
pub async fn run(job: CloseChunk, app: App, claim: Claim) -> Result<(), Failure> {
    let chunk_id = job.0.payload.chunk;
    let reason = job.0.reason.as_deref().unwrap_or("its job ended");
    let mut tx = app.begin().await?;
    let Some(chunk) = store::chunks::lock(&mut tx, chunk_id).await? else { return Ok(()) };
    let (end, reason) = match (chunk.state, job.0.state) {
        (ChunkState::Sending, _) => UNRESOLVED,
        (_, EndState::Cancelled) => (End::Cancelled, reason),
        _ => (End::Failed, reason),
    };
    if store::chunks::end(&mut tx, chunk_id, end, None, reason).await? {
        store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
        if chunk.state == ChunkState::Sending {
            let detail = format!("chunk {chunk_id}: {reason}");
            post_alert::raise(&mut tx, &app.settings, AlertCause::UnknownSend, &detail).await?;
        }
        tracing::warn!(
            chunk.id = chunk_id.0,
            "Closed chunk {chunk_id} without an answer of Twilio's: {reason}"
        );
    }
    claim.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
