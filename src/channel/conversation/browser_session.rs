//! The end of the agent's browser session, by a phrase on the phone or in the dashboard.

use agent::browser::BrowserStop;
use agent::error::AgentErrorClass;
use queue::failure::Failure;
use store::ids::{ConversationId, UserId};
use store::user_agents;

use super::{agents, request};
use crate::app::App;
use crate::texts;

/// Ends the browser session of a user's conversation and returns what to tell the user. Asked twice with one `idempotency_key`, it acts once.
pub async fn end(
    app: &App,
    user_id: &UserId,
    conversation: ConversationId,
    idempotency_key: &str,
) -> Result<&'static str, Failure> {
    let mut conn = app.pg.acquire().await?;
    let agent = agents::of_user(app, &mut conn, Some(user_id)).await?;
    let shares = user_agents::shares_gateway(&mut conn, user_id).await?;
    drop(conn);
    let session = request::session_key(app, conversation);
    let stopped = match agent.usable() {
        Ok(agent) => agent.stop_browser_session(&session, idempotency_key).await,
        Err(error) => Err(error),
    };
    match stopped {
        Ok(BrowserStop::NotRunning) => Ok(texts::NO_BROWSER),
        // A gateway has one browser for all of its sessions.
        Ok(BrowserStop::Ended) if shares => Ok(texts::SHARED_BROWSER_ENDED),
        Ok(BrowserStop::Ended) => Ok(texts::BROWSER_ENDED),
        // What asking again cannot change is not asked again: somebody waits for an answer.
        Err(error)
            if matches!(error.class(), AgentErrorClass::Configuration | AgentErrorClass::Permanent) =>
        {
            Err(Failure::abort(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
