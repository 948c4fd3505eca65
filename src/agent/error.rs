//! What can go wrong when the agent is asked.

use std::time::Duration;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It did not answer in time.
    #[error("the agent did not answer within {0:?}")]
    TimedOut(Duration),
    /// It answered with nothing: a failure, never a reply.
    #[error("the agent answered with nothing")]
    Empty,
    /// It failed; the same may work next time.
    #[error("the agent failed: {0}")]
    Transient(String),
}
