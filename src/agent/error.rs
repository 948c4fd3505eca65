//! What can go wrong when the agent is asked.

use std::time::Duration;

use outside::words;

use crate::withheld::Withheld;

/// Why there is no reply. The texts hold no token, no phone number and nothing of the conversation, also where a gateway quotes it in its own error.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It did not answer in time.
    #[error("the agent did not answer within {0:?}")]
    TimedOut(Duration),
    /// It answered with nothing for a person: a failure, never a reply.
    #[error("the agent answered with nothing{}", but(.0))]
    Empty(Withheld),
    /// It failed; the same may work next time.
    #[error("the agent failed: {0}")]
    Transient(String),
    /// The connection to it broke, or it fell silent.
    #[error("the agent failed: {0}")]
    Broken(String),
    /// It failed after it had tried for long by itself.
    #[error("the agent failed, and had tried several times itself: {0}")]
    GaveUp(String),
    /// Its stream ended in the middle of an event, or with its connection and without an end mark.
    #[error("the agent's stream was cut: {0}")]
    Unfinished(String),
    /// It has acted, and then could not take back what its stream had said already.
    #[error("the agent's stream could not be corrected: {0}")]
    Corrected(String),
    /// The run began, and the model behind it was busy.
    #[error("the agent is busy: {reason}")]
    RateLimited {
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
        /// Who said what.
        reason: String,
    },
    /// No run began: the gateway is away, is starting, or wants us to wait.
    #[error("the agent cannot be asked now: {reason}")]
    Unavailable {
        /// What keeps us from asking.
        trouble: Trouble,
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
        /// Who said what.
        reason: String,
    },
    /// It will take no turn before the operator has changed something there or here.
    #[error("the agent is not set up: {reason}")]
    Refused {
        /// What has to be changed.
        trouble: Trouble,
        /// Who said what, and the remedy.
        reason: String,
    },
    /// Nothing will work before the operator has changed something here; nobody was asked.
    #[error("the agent is not set up: {0}")]
    Configuration(String),
    /// What it was told is longer than what its model takes at a time.
    #[error("the agent refused the turn: {0}")]
    TooLong(String),
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
    /// Ask again; no run has begun, so this call does not count.
    Unavailable,
    /// Do not ask again: the gateway has done so.
    GaveUp,
    /// Tell the operator.
    Configuration,
    /// Give up.
    Permanent,
}

/// What an operator must look at when turns fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The gateway refuses our token, or gives it too few rights.
    Token,
    /// There is no chat completions endpoint at the address.
    Endpoint,
    /// The agent or the model that we name is unknown.
    Name,
    /// Nobody is there.
    Unreachable,
    /// The gateway has locked this machine out, since somebody came with wrong tokens.
    LockedOut,
    /// The gateway wants us to wait.
    Busy,
    /// The gateway is well, and what stands behind it is not.
    Provider,
    /// Our own configuration.
    Setup,
}

impl AgentError {
    /// The same without phone numbers, and without what a gateway quotes of what was said to it.
    #[must_use]
    pub(crate) fn without_quotes(self, said: &[&str]) -> Self {
        let kept = |text: String| words::of_others(&text, said);
        match self {
            Self::TimedOut(_) | Self::Empty(_) => self,
            Self::Transient(text) => Self::Transient(kept(text)),
            Self::Broken(text) => Self::Broken(kept(text)),
            Self::GaveUp(text) => Self::GaveUp(kept(text)),
            Self::Unfinished(text) => Self::Unfinished(kept(text)),
            Self::Corrected(text) => Self::Corrected(kept(text)),
            Self::RateLimited { retry_after, reason } => {
                Self::RateLimited { retry_after, reason: kept(reason) }
            }
            Self::Unavailable { trouble, retry_after, reason } => {
                Self::Unavailable { trouble, retry_after, reason: kept(reason) }
            }
            Self::Refused { trouble, reason } => Self::Refused { trouble, reason: kept(reason) },
            Self::Configuration(text) => Self::Configuration(kept(text)),
            Self::TooLong(text) => Self::TooLong(kept(text)),
            Self::Permanent(text) => Self::Permanent(kept(text)),
        }
    }

    /// A failure that took a gateway so long is one that it has tried to avoid several times: OpenClaw asks its model up to eight times.
    #[must_use]
    pub(crate) fn after(self, took: Duration) -> Self {
        match self {
            Self::Transient(reason) | Self::RateLimited { reason, .. } if took >= TRIED_FOR => {
                Self::GaveUp(reason)
            }
            error => error,
        }
    }

    /// What the error is good for.
    #[must_use]
    pub fn class(&self) -> AgentErrorClass {
        match self {
            Self::TimedOut(_)
            | Self::Empty(_)
            | Self::Transient(_)
            | Self::Broken(_)
            | Self::Unfinished(_) => AgentErrorClass::Transient,
            Self::GaveUp(_) | Self::Corrected(_) => AgentErrorClass::GaveUp,
            Self::RateLimited { .. } => AgentErrorClass::RateLimited,
            Self::Unavailable { .. } => AgentErrorClass::Unavailable,
            Self::Refused { .. } | Self::Configuration(_) => AgentErrorClass::Configuration,
            Self::TooLong(_) | Self::Permanent(_) => AgentErrorClass::Permanent,
        }
    }

    /// When the agent wants to be asked again, if it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn but(withheld: &Withheld) -> String {
    if withheld.is_empty() { String::new() } else { format!(" but {withheld}") }
}

/// A passing failure comes within moments; what comes later is the end of several tries.
const TRIED_FOR: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_that_a_gateway_told_late_is_one_that_it_has_tried_to_avoid() {
        let told = || AgentError::Transient("internal error".to_owned());
        let limited = || AgentError::RateLimited {
            retry_after: Some(Duration::from_secs(1)),
            reason: "the model is busy".to_owned(),
        };
        let broken = AgentError::Broken("the answer broke off".to_owned());

        assert_eq!(told().after(TRIED_FOR - Duration::from_secs(1)).class(), AgentErrorClass::Transient);
        assert_eq!(told().after(TRIED_FOR).class(), AgentErrorClass::GaveUp);
        assert_eq!(limited().after(Duration::ZERO).class(), AgentErrorClass::RateLimited);
        assert_eq!(limited().after(TRIED_FOR).class(), AgentErrorClass::GaveUp, "it has waited itself");
        assert_eq!(broken.after(TRIED_FOR).class(), AgentErrorClass::Transient);
    }
}
