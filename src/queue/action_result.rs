//! What an action on a job came to, as `queue.retry_dead` and `queue.cancel` say it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// What was done, or why nothing was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// A dead job is live again.
    Retried,
    /// It is not tried again: it is not dead.
    NotDead,
    /// It is not tried again: a live job has its unique key.
    KeyTaken,
    /// A job that waited has ended.
    Cancelled,
    /// A running job is to end.
    AskedToStop,
    /// A dead job went to the history.
    PutAway,
    /// It is not cancelled: it is neither live nor dead.
    NotLive,
    /// There is no job of this number, or not any more.
    NoSuchJob,
}

impl ActionResult {
    const ALL: [Self; 8] = [
        Self::Retried,
        Self::NotDead,
        Self::KeyTaken,
        Self::Cancelled,
        Self::AskedToStop,
        Self::PutAway,
        Self::NotLive,
        Self::NoSuchJob,
    ];

    /// Its words in the database, for people and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retried => "retried",
            Self::NotDead => "not dead",
            Self::KeyTaken => "a live job has its unique key",
            Self::Cancelled => "cancelled",
            Self::AskedToStop => "asked to stop",
            Self::PutAway => "put away",
            Self::NotLive => "not live",
            Self::NoSuchJob => "no such job",
        }
    }
}

impl ActionResult {
    /// Whether anything was done.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Retried | Self::Cancelled | Self::AskedToStop | Self::PutAway)
    }
}

impl fmt::Display for ActionResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ActionResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl utoipa::PartialSchema for ActionResult {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.map(Self::as_str)))
            .description(Some("What was done, or why nothing was."))
            .into()
    }
}

impl utoipa::ToSchema for ActionResult {}

/// The database says what no action comes to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an action on a job came to {0:?}, which is not known")]
pub struct UnknownResult(String);

impl FromStr for ActionResult {
    type Err = UnknownResult;

    fn from_str(words: &str) -> Result<Self, UnknownResult> {
        Self::ALL
            .into_iter()
            .find(|result| result.as_str() == words)
            .ok_or_else(|| UnknownResult(words.to_owned()))
    }
}
