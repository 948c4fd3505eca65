//! Ends the browser session of a user who asked for it in the dashboard, and says in the thread what came of it.
//!
//! Enqueued with the message, in a lane of the conversation's browser phrases, so that it waits for no turn. On the phone `receive_message` does the same.
//! When it gives up, `apologise_in_thread` follows. It may run twice: the gateway acts once, and the thread gets one answer, with the job's end.

use channel::app::App;
use channel::conversation::{browser_session, request};
use channel::kinds::EndBrowserSession;
use queue::attempt::Attempt;
use queue::failure::Failure;
use store::dashboard_messages;
use store::messages::MessageOutcome;

/// Runs a job of this kind.
pub async fn run(job: EndBrowserSession, app: App, attempt: Attempt) -> Result<(), Failure> {
    let EndBrowserSession { conversation, message } = job;
    let user = store::conversations::user_of(&mut *app.pg.acquire().await?, conversation).await?;
    // A user who was erased has no thread.
    let Some(user) = user else { return Ok(()) };
    let key = format!("{}-{message}", request::session_key(&app, conversation));
    let text = browser_session::end(&app, &user, conversation, &key).await?;
    let mut tx = app.begin().await?;
    store::conversations::lock(&mut tx, conversation).await?;
    dashboard_messages::answer(&mut tx, conversation, message, MessageOutcome::Browser, text).await?;
    attempt.complete_and_commit(tx).await?;
    Ok(())
}
