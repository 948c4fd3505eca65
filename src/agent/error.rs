//! What can go wrong when the agent is asked.

use std::time::Duration;

use outside::words;

/// Why there is no reply. The texts hold no token, no phone number and nothing of the conversation, also where a gateway quotes it in its own error.
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
    /// It is busy.
    #[error("the agent is busy: {reason}")]
    RateLimited {
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
        /// Who said what.
        reason: String,
    },
    /// Nothing will work before the operator has changed something.
    #[error("the agent is not set up: {0}")]
    Configuration(String),
    /// It will not take this turn, however often it is asked.
    #[error("the agent refused the turn: {0}")]
    Permanent(String),
}

/// What an error is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentErrorClass {
    /// Ask again after a while.
    Transient,
    /// Ask again when the gateway wants it.
    RateLimited,
    /// Tell the operator.
    Configuration,
    /// Give up.
    Permanent,
}

impl AgentError {
    /// The same without phone numbers, and without what a gateway quotes of what was said to it.
    #[must_use]
    pub(crate) fn without_quotes(self, said: &[&str]) -> Self {
        let kept = |text: String| words::of_others(&text, said);
        match self {
            Self::TimedOut(_) | Self::Empty => self,
            Self::Transient(text) => Self::Transient(kept(text)),
            Self::RateLimited { retry_after, reason } => {
                Self::RateLimited { retry_after, reason: kept(reason) }
            }
            Self::Configuration(text) => Self::Configuration(kept(text)),
            Self::Permanent(text) => Self::Permanent(kept(text)),
        }
    }

    /// What the error is good for.
    #[must_use]
    pub fn class(&self) -> AgentErrorClass {
        match self {
            Self::TimedOut(_) | Self::Empty | Self::Transient(_) => AgentErrorClass::Transient,
            Self::RateLimited { .. } => AgentErrorClass::RateLimited,
            Self::Configuration(_) => AgentErrorClass::Configuration,
            Self::Permanent(_) => AgentErrorClass::Permanent,
        }
    }
}
