//! Says sorry, once, for a turn that came to nothing.
//!
//! Enqueued by the queue when an `answer` died or was cancelled; an `answer` whose agent failed once too often has apologised already.
//! Enqueues the apology's `send_chunk`. It may run twice: a turn that has
//! ended is left alone, so a reply that was stored at the last moment stands.

use channel::app::App;
use channel::conversation::apology::{Cause, apologise};
use channel::kinds::{Answer, Apologise};
use queue::attempt::Attempt;
use queue::failure::Failure;

/// Runs a job of this kind.
pub async fn run(job: Apologise, app: App, attempt: Attempt) -> Result<(), Failure> {
    let Answer { conversation, message, .. } = job.0.payload;
    let reason = job.0.reason.as_deref().unwrap_or("the agent gave up");
    let mut tx = app.begin().await?;
    store::addresses::lock_of_conversation(&mut tx, conversation).await?;
    store::conversations::lock(&mut tx, conversation).await?;
    let turn = store::turns::running(&mut tx, conversation).await?;
    match turn {
        Some(turn) if store::messages::turn_of(&mut tx, message).await? == Some(turn.id) => {
            apologise(&app, &mut tx, &turn, Cause { reason, agent: None }).await?;
        }
        // It died before it had a turn: its message must not wait for ever.
        _ => {
            if store::messages::fail_unanswered(&mut tx, message, reason).await? {
                tracing::error!(message.id = message.0, "Message {message} was never answered: {reason}");
            }
        }
    }
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
