//! Ends a user's part of a slot whose `prompt_user` will never run again, and with the last part the slot.
//!
//! Enqueued by the queue when a `prompt_user` died or was cancelled. The end of a slot may raise an alert, whose `post_alert` is enqueued. It
//! may run twice: a part that has ended is left alone.

use channel::app::App;
use channel::kinds::{ClosePrompt, PromptUser};
use channel::schedules::ending;
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::slot_users::{PartOutcome, UserPart};

/// Runs a job of this kind.
pub async fn run(job: ClosePrompt, app: App, attempt: Attempt) -> Result<(), Failure> {
    let PromptUser { slot, user, .. } = &job.0.payload;
    let reason = job.0.reason.as_deref().unwrap_or("its job ended");
    let mut tx = app.begin().await?;
    // A user who was erased has none any more.
    if let Some(conversation) = store::conversations::find(&mut tx, user).await? {
        store::conversations::lock(&mut tx, conversation).await?;
        let left = store::turns::running(&mut tx, conversation).await?;
        if let Some(turn) = left.filter(|turn| turn.slot_id == Some(*slot)) {
            store::turns::fail(&mut tx, turn.id, reason).await?;
        }
    }
    let failed = UserPart {
        user_id: user,
        outcome: PartOutcome::AgentFailed,
        reason: Some(reason),
        delivery_id: None,
    };
    store::slot_users::end_asked(&mut tx, *slot, &failed).await?;
    ending::close_if_done(&app, &mut tx, *slot, None).await?;
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
