//! The agent behind the conversation: who is asked when a person writes. Knows no job and no table.

/// The agent that needs nobody.
pub mod echo;
/// What can go wrong.
pub mod error;
/// What is asked and answered.
pub mod turn;

use crate::error::AgentError;
use crate::turn::{Reply, TurnRequest};

/// The agent of a deployment.
#[derive(Clone, Debug)]
pub enum Agent {
    /// The built-in one.
    Echo,
}

impl Agent {
    /// Its name, as it is kept with each turn.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Echo => "echo",
        }
    }

    /// Runs one turn: everything a person has said since the last reply, and what to reply.
    ///
    /// # Errors
    /// [`AgentError`]; after any of them the same turn may be asked again, as long as no reply was stored.
    pub async fn send_to_openclaw(&self, turn: &TurnRequest) -> Result<Reply, AgentError> {
        let answer = async {
            match self {
                Self::Echo => echo::answer(turn).await,
            }
        };
        tokio::time::timeout(turn.timeout, answer).await.unwrap_or(Err(AgentError::TimedOut(turn.timeout)))
    }
}
