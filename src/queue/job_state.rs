//! States of jobs, for people: those of the live table, then done, cancelled and dead.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits behind another job of its lane.
    Held,
    /// Waits for its time: a future job, a backoff or a snooze.
    Scheduled,
    /// Its kind is paused, or the process that met it does not know the kind.
    Parked,
    /// Due: a worker may claim it.
    Waiting,
    /// A worker has claimed it.
    Running,
    /// Ended well.
    Done,
    /// Somebody cancelled it.
    Cancelled,
    /// Gave up, and waits for a person.
    Dead,
}

impl JobState {
    /// All of them, in this order.
    pub const ALL: [Self; 8] = [
        Self::Held,
        Self::Scheduled,
        Self::Parked,
        Self::Waiting,
        Self::Running,
        Self::Done,
        Self::Cancelled,
        Self::Dead,
    ];

    /// Its word in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Scheduled => "scheduled",
            Self::Parked => "parked",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state; the states are {known}", known = JobState::ALL.map(JobState::as_str).join(", "))]
pub struct UnknownState(String);

impl FromStr for JobState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownState(word.to_owned()))
    }
}

impl TryFrom<String> for JobState {
    type Error = UnknownState;

    fn try_from(word: String) -> Result<Self, UnknownState> {
        word.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_word_everywhere() {
        for state in JobState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
