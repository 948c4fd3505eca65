//! Closes a chunk whose `send_chunk` will never run again.
//!
//! Enqueued by the queue when a `send_chunk` died or was cancelled. It enqueues nothing. It may run twice: a chunk that has its end is left
//! alone. What was being sent just then ends as unknown, since Twilio may have it.

use channel::alerts;
use channel::app::App;
use channel::kinds::CloseChunk;
use channel::outbound::in_doubt::UNRESOLVED;
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::job_state::JobState;
use store::alerts::AlertCause;
use store::chunks::{ChunkState, End};

/// Runs a job of this kind.
pub async fn run(job: CloseChunk, app: App, attempt: Attempt) -> Result<(), Failure> {
    let chunk_id = job.0.payload.chunk;
    let reason = job.0.reason.as_deref().unwrap_or("its job ended");
    let mut tx = app.begin().await?;
    let Some(chunk) = store::chunks::lock(&mut tx, chunk_id).await? else { return Ok(()) };
    let (end, reason) = match (chunk.state, job.0.state) {
        (ChunkState::Sending, _) => UNRESOLVED,
        (_, JobState::Cancelled) => (End::Cancelled, reason),
        _ => (End::Failed, reason),
    };
    if store::chunks::end(&mut tx, chunk_id, end, None, reason).await? {
        store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
        if chunk.state == ChunkState::Sending {
            let detail = format!("chunk {chunk_id}: {reason}");
            alerts::raise(&mut tx, &app.settings, AlertCause::UnknownSend, &detail).await?;
        }
        tracing::warn!(
            chunk.id = chunk_id.0,
            "Closed chunk {chunk_id} without an answer of Twilio's: {reason}"
        );
    }
    attempt.complete(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
