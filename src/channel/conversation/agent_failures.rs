//! What a failed call of the agent means, for people's turns and for schedules' prompts alike.

use std::time::Duration;

use agent::error::{AgentError, AgentErrorClass};
use queue::backoff::Backoff;

/// What is known of calls of which nobody could store how they ended.
pub const CUT_SHORT: &str = "each call of the agent was cut short, and nobody could store how it ended";

/// The agent may be back at any moment, and is asked for a question of its own by everybody who waits.
const UNTIL_IT_IS_BACK: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(15));

/// A gateway that was killed runs the turn of before once more when it is back, and fails those that come meanwhile. So few runs are not made at once.
const AFTER_A_RUN: Backoff =
    Backoff { base: Duration::from_secs(2), factor: 8.0, cap: Duration::from_secs(60), jitter: 0.5 };

/// Nobody is waited for any longer, whatever is asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a failed call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureMeaning {
    /// No run began: the call does not count.
    NotBegun,
    /// A run failed, and another may not.
    Passing,
    /// Another call would change nothing, or the gateway has made it already.
    Lasting,
}

/// What this failure means.
#[must_use]
pub fn meaning(error: &AgentError) -> FailureMeaning {
    match error.class() {
        AgentErrorClass::Unavailable => FailureMeaning::NotBegun,
        AgentErrorClass::Transient | AgentErrorClass::RateLimited => FailureMeaning::Passing,
        AgentErrorClass::GaveUp | AgentErrorClass::Configuration | AgentErrorClass::Permanent => {
            FailureMeaning::Lasting
        }
    }
}

/// How long the agent is left alone: for as long as it asks for, and at least for a backoff of ours, which grows with the number of calls that
/// came to this.
#[must_use]
pub fn pause(error: &AgentError, calls: i32) -> Duration {
    pause_by_chance(error, calls, rand::random())
}

/// `chance` is uniform in 0 to 1.
fn pause_by_chance(error: &AgentError, calls: i32, chance: f64) -> Duration {
    let backoff = match meaning(error) {
        FailureMeaning::NotBegun => UNTIL_IT_IS_BACK,
        FailureMeaning::Passing | FailureMeaning::Lasting => AFTER_A_RUN,
    };
    let own = backoff.delay(u16::try_from(calls).unwrap_or(u16::MAX), chance);
    error.retry_after().map_or(own, |asked| asked.max(own)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use agent::error::Trouble;
    use agent::withheld::Withheld;

    use super::*;

    #[test]
    fn a_wait_that_is_asked_for_is_kept_and_none_is_shorter_than_our_own() {
        let unavailable = |retry_after: Option<u64>| AgentError::Unavailable {
            trouble: Trouble::Busy,
            retry_after: retry_after.map(Duration::from_secs),
            reason: String::new(),
        };
        let rate_limited =
            AgentError::RateLimited { retry_after: Some(Duration::from_secs(300)), reason: String::new() };
        for (error, calls, meaning_of_it, secs) in [
            (unavailable(None), 1, FailureMeaning::NotBegun, 1),
            (unavailable(None), 4, FailureMeaning::NotBegun, 8),
            (unavailable(None), 40_000, FailureMeaning::NotBegun, 15),
            (unavailable(Some(300)), 1, FailureMeaning::NotBegun, 300),
            (unavailable(Some(1)), 4, FailureMeaning::NotBegun, 8),
            (unavailable(Some(u64::MAX)), 1, FailureMeaning::NotBegun, 86_400),
            (rate_limited, 1, FailureMeaning::Passing, 300),
            (AgentError::Empty(Withheld::default()), 2, FailureMeaning::Passing, 16),
            (AgentError::Empty(Withheld::default()), 3, FailureMeaning::Passing, 60),
            (AgentError::GaveUp(String::new()), 1, FailureMeaning::Lasting, 2),
        ] {
            assert_eq!(meaning(&error), meaning_of_it, "{error}");
            assert_eq!(
                pause_by_chance(&error, calls, 0.0),
                Duration::from_secs(secs),
                "{error} after {calls}"
            );
        }
    }
}
