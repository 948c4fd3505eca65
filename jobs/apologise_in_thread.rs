//! Says sorry in the thread, where nothing came of what was asked in the dashboard.
//!
//! Enqueued by the queue when an `end_browser_session` died or was cancelled. It may run twice: the apology is stored with the job's end. A retry by hand
//! of what gave up says in the thread what came of it then.

use channel::app::App;
use channel::kinds::{ApologiseInThread, EndBrowserSession};
use channel::texts;
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::dashboard_messages;
use store::messages::MessageOutcome;

/// Runs a job of this kind.
pub async fn run(job: ApologiseInThread, app: App, attempt: Attempt) -> Result<(), Failure> {
    let EndBrowserSession { conversation, message } = job.0.payload;
    let reason = job.0.reason.as_deref().unwrap_or("nobody could end the browser session");
    let mut tx = app.begin().await?;
    store::conversations::lock(&mut tx, conversation).await?;
    if store::conversations::user_of(&mut tx, conversation).await?.is_some() {
        dashboard_messages::answer(&mut tx, conversation, message, MessageOutcome::Failed, texts::APOLOGY)
            .await?;
        tracing::error!(message.id = message.0, "Gave up message {message}: {reason}");
    }
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
