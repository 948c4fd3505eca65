//! Closes a chunk whose `send_chunk` will never run again.
//!
//! Enqueued by the queue when a `send_chunk` died or was cancelled. What was being sent just then ends as unknown, since Twilio may have it;
//! that raises an alert, whose `post_alert` is enqueued. It may run twice: a chunk that has its end is left alone.

use channel::app::App;
use channel::kinds::CloseChunk;
use channel::outbound::in_doubt;
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::job_state::JobState;
use store::chunks::{ChunkState, End};

/// Runs a job of this kind.
pub async fn run(job: CloseChunk, app: App, attempt: Attempt) -> Result<(), Failure> {
    let chunk_id = job.0.payload.chunk;
    let reason = job.0.reason.as_deref().unwrap_or("its job ended");
    let mut tx = app.begin().await?;
    let Some(chunk) = store::chunks::lock(&mut tx, chunk_id).await? else { return Ok(()) };
    if chunk.state == ChunkState::Sending {
        in_doubt::end_as_unknown(&mut tx, &app.settings, &chunk).await?;
    } else {
        let end = if job.0.state == JobState::Cancelled { End::Cancelled } else { End::Failed };
        if store::chunks::end(&mut tx, chunk_id, end, None, reason).await? {
            store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
            tracing::warn!(chunk.id = chunk_id.0, "Closed chunk {chunk_id}, which was not sent: {reason}");
        }
    }
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
