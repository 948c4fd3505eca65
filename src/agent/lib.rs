//! The agent behind the conversation: who is asked when a person writes. Knows no job and no table.

/// Where users' own gateways may be.
pub mod allowed_hosts;
/// The body of an answer, judged by what it begins with.
mod answer_body;
/// The end of an agent's browser session.
pub mod browser;
/// The calls that a turn makes.
mod calls;
/// The request of a turn, as OpenAI has it.
mod chat;
/// The client of an OpenClaw gateway.
pub mod client;
/// The answer, whole or in a stream.
mod completion;
/// The agent that needs nobody.
pub mod echo;
/// What can go wrong.
pub mod error;
/// Server-sent events.
mod event_stream;
/// JSON documents one behind the other.
mod json_documents;
/// Text out of JSON that may be cut anywhere.
mod json_text;
/// What an agent knows of a conversation, and who keeps it.
pub mod memory;
/// Whether a text may reach the agent.
pub mod moderation;
/// Whether an agent would take a turn, and what it is.
mod probe;
/// What a gateway means by an error.
mod refusal;
/// What an answer has said so far.
mod said_so_far;
/// What a server says went wrong.
mod server_error;
/// What a gateway's session has of a turn.
mod session_history;
/// Whom a turn is for.
pub mod target;
/// What is asked and answered.
pub mod turn;
/// What is not for a person.
pub mod withheld;

use std::time::Duration;

use crate::browser::BrowserStop;
use crate::client::{GatewayClient, Gateways};
use crate::error::AgentError;
use crate::memory::MemoryKeeper;
use crate::target::{Endpoint, Target};
use crate::turn::{AgentAnswer, TurnRequest};

/// The agent of a deployment.
#[derive(Clone, Debug)]
pub enum Agent {
    /// The built-in one.
    Echo,
    /// A gateway, or any server that speaks OpenAI's chat completions.
    OpenClaw(GatewayClient),
}

impl Agent {
    /// Its name, as it is kept with each turn: what it is, and which agent or model was asked for.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Echo => "echo".to_owned(),
            Self::OpenClaw(client) => client.name(),
        }
    }

    /// The agent as one user has it: what `target` leaves open stays as it is. A user with a gateway of their own has it even where
    /// the others have the built-in agent.
    #[must_use]
    pub fn asking(&self, target: &Target, gateways: &Gateways) -> Self {
        match (self, &target.endpoint) {
            // Another gateway knows nothing of the deployment's agents and models.
            (_, Some(endpoint)) => Self::OpenClaw(gateways.client(endpoint.clone()).asking(target)),
            (Self::OpenClaw(client), None) => Self::OpenClaw(client.asking(target)),
            (Self::Echo, None) => Self::Echo,
        }
    }

    /// Finds out whether the agent would take a turn. What it makes of one, only a turn tells.
    ///
    /// # Errors
    /// Nobody answers, or nobody may be asked, or what was asked would be refused.
    pub async fn check(&self) -> Result<(), AgentError> {
        match self {
            Self::Echo => Ok(()),
            Self::OpenClaw(client) => within(CHECKED_WITHIN, probe::check(client)).await,
        }
    }

    /// Where it is asked; `None`: it is the built-in one.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Echo => None,
            Self::OpenClaw(client) => Some(client.endpoint()),
        }
    }

    /// Finds out who keeps the history of conversations: an OpenClaw gateway does, other servers do not. `None`: its answer does not tell.
    ///
    /// # Errors
    /// Nobody answers, or nobody may be asked.
    pub async fn memory_keeper(&self) -> Result<Option<MemoryKeeper>, AgentError> {
        match self {
            // It has no use for a history.
            Self::Echo => Ok(Some(MemoryKeeper::Gateway)),
            Self::OpenClaw(client) => within(RECOGNISED_WITHIN, probe::memory_keeper(client)).await,
        }
    }

    /// Runs one turn: everything a person has said since the last reply, and what to reply.
    ///
    /// A gateway may take minutes. It stops the run when this call is given up, so a second call begins the turn anew, and the agent's
    /// tools may act twice.
    ///
    /// # Errors
    /// [`AgentError`]; after any of them the same turn may be asked again, as long as no reply was stored.
    pub async fn send_to_openclaw(&self, turn: &TurnRequest) -> Result<AgentAnswer, AgentError> {
        let answer = within(turn.timeout, async {
            match self {
                Self::Echo => echo::answer(turn).await,
                Self::OpenClaw(client) => client.complete(turn).await,
            }
        });
        answer.await.map_err(|error| error.without_quotes(&turn.words()))
    }

    /// Ends the browser session that belongs to a conversation. Asked twice with the same `idempotency_key`, it acts once.
    ///
    /// # Errors
    /// [`AgentError`], as for a turn.
    pub async fn stop_browser_session(
        &self,
        conversation_id: &str,
        idempotency_key: &str,
    ) -> Result<BrowserStop, AgentError> {
        match self {
            Self::Echo => Ok(BrowserStop::NotRunning),
            Self::OpenClaw(client) => {
                let stopped = within(browser::TIMEOUT, client.stop_browser(conversation_id, idempotency_key));
                stopped.await.map_err(|error| error.without_quotes(&[]))
            }
        }
    }
}

/// Somebody waits for the answer at a terminal.
const CHECKED_WITHIN: Duration = Duration::from_secs(10);

/// A turn waits for it.
const RECOGNISED_WITHIN: Duration = Duration::from_secs(5);

async fn within<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, AgentError> {
    tokio::time::timeout(timeout, answer).await.unwrap_or(Err(AgentError::TimedOut(timeout)))
}
