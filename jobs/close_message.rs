//! Gives a message its outcome when nobody could decide about it.
//!
//! Enqueued by the queue when a `receive_message` died or was cancelled. Enqueues the `send_chunk` of its apology. It may run twice: a message
//! that has its outcome, or that the agent shall see, is left alone.

use channel::app::App;
use channel::inbound::admission;
use channel::kinds::CloseMessage;
use channel::texts;
use queue::attempt::Attempt;
use queue::failure::Failure;

/// Runs a job of this kind.
pub async fn run(job: CloseMessage, app: App, attempt: Attempt) -> Result<(), Failure> {
    let id = job.0.payload.message;
    let reason = job.0.reason.as_deref().unwrap_or("nobody could decide about it");
    let mut tx = app.begin().await?;
    let Some(message) = store::messages::get(&mut tx, id).await? else { return Ok(()) };
    store::addresses::lock(&mut tx, message.address_id).await?;
    let undecided = message.accepted_at.is_none();
    if undecided && store::messages::fail_unanswered(&mut tx, id, reason).await? {
        // Once is enough, however often it is tried by hand.
        if message.retried_at.is_none() {
            admission::tell(&app, &mut tx, &message, texts::APOLOGY).await?;
        }
        tracing::error!(message.id = id.0, "Gave up message {id}: {reason}");
    }
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
