//! How attempts end that do not simply succeed, as `queue.attempts` keeps it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// It failed, and the job is tried again.
    Failed,
    /// It was the last one that failed, or said that no other will help.
    Dead,
    /// It put itself off.
    Snoozed,
    /// Its process died under it.
    Crashed,
    /// The job was given back: its worker stopped, or the answer to its claim was lost.
    HandedBack,
    /// A person cancelled the job meanwhile.
    Cancelled,
}

impl AttemptEnd {
    /// All of them, in this order.
    pub const ALL: [Self; 6] =
        [Self::Failed, Self::Dead, Self::Snoozed, Self::Crashed, Self::HandedBack, Self::Cancelled];

    /// Its word in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Snoozed => "snoozed",
            Self::Crashed => "crashed",
            Self::HandedBack => "handed_back",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for AttemptEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The database has an end that this build does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an attempt ended as {0:?}, which is not known")]
pub struct UnknownEnd(String);

impl FromStr for AttemptEnd {
    type Err = UnknownEnd;

    fn from_str(word: &str) -> Result<Self, UnknownEnd> {
        Self::ALL.into_iter().find(|end| end.as_str() == word).ok_or_else(|| UnknownEnd(word.to_owned()))
    }
}

impl TryFrom<String> for AttemptEnd {
    type Error = UnknownEnd;

    fn try_from(word: String) -> Result<Self, UnknownEnd> {
        word.parse()
    }
}
