//! What the agent answers now.

use std::time::Duration;

use agent::Agent;
use agent::error::AgentError;
use agent::memory::MemoryKeeper;
use channel::administration::findings::{Finding, Subject, Urgency};

use crate::config::Config;

/// An agent that says nothing for so long is not well.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the agent whether it takes turns.
pub(super) async fn ask(config: &Config) -> Finding {
    let fine = |text: String| Finding::fine(Subject::Agent, text);
    let wrong = |text: String, remedy: &str| Finding::of(Urgency::Now, Subject::Agent, text, remedy);
    match tokio::time::timeout(PATIENCE, config.agent.check()).await {
        Ok(Ok(())) if matches!(config.agent, Agent::Echo) => {
            fine("the built-in echo agent; set OPENCLAW_BASE_URL for a gateway".to_owned())
        }
        Ok(Ok(())) => fine(format!("{} takes turns; {}", config.agent.name(), memory(config).await)),
        Ok(Err(
            error @ (AgentError::Unavailable { .. } | AgentError::Broken(_) | AgentError::TimedOut(_)),
        )) => wrong(error.to_string(), "check OPENCLAW_BASE_URL, and whether the gateway runs"),
        Ok(Err(error)) => wrong(error.to_string(), "check OPENCLAW_BASE_URL and the token of the gateway"),
        Err(_) => wrong(
            format!("it does not answer within {} s", PATIENCE.as_secs()),
            "check OPENCLAW_BASE_URL, and whether the gateway runs",
        ),
    }
}

/// Who keeps the history of conversations, and how that is known.
async fn memory(config: &Config) -> String {
    let (keeper, by) = match config.memory.keeper {
        Some(keeper) => (Some(keeper), "as openclaw.memory says"),
        None => (config.agent.memory_keeper().await.ok().flatten(), "by its list of models"),
    };
    match keeper {
        Some(MemoryKeeper::Gateway) => format!("it keeps the history of conversations, {by}"),
        Some(MemoryKeeper::Thread) => format!("it keeps no history, {by}, so the thread goes along with each turn"),
        None => "it does not tell whether it keeps the history of conversations, so the thread goes along with each turn; openclaw.memory decides".to_owned(),
    }
}
