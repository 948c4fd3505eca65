//! What a job is: a payload with a kind, and how its work is tried.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::backoff::Backoff;
use crate::job_state::JobState;
use crate::trace::TraceParent;

/// The number of a job, unique for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// A kind of durable work. The payload is ids, since rows outlive deploys; give new fields `#[serde(default)]`. What
/// running it means is a function that a process gives to [`Workers::register`](crate::workers::Workers::register);
/// whoever enqueues it needs only this.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name in the database. It is for ever: rows outlive deploys.
    const KIND: &'static str;
    /// The pool whose workers run it.
    const POOL: &'static str;
    /// Attempts until it is dead.
    const MAX_ATTEMPTS: u16 = 10;
    /// The wait between attempts.
    const BACKOFF: Backoff = Backoff::DEFAULT;
    /// Its own time limit for one attempt; without one the pool's holds.
    const TIMEOUT: Option<Duration> = None;
    /// The job that is enqueued when one of this kind dies or is cancelled. It gets an [`Ended`] as payload, in the
    /// transaction that ends this one, so that nobody waits on a dead job.
    const ON_END: Option<FollowUp> = None;

    /// Others rely on jobs of this kind: a cancel that names neither the kind nor the job leaves them alone, as it does
    /// follow-ups.
    const KEPT: bool = false;
}

/// The kind that follows when a job dies or is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowUp {
    pub(crate) kind: &'static str,
    pub(crate) pool: &'static str,
    pub(crate) max_attempts: u16,
}

impl FollowUp {
    /// This kind, in its own pool, tried as often as it says.
    #[must_use]
    pub const fn of<J: Job>() -> Self {
        Self { kind: J::KIND, pool: J::POOL, max_attempts: J::MAX_ATTEMPTS }
    }
}

/// What a follow-up job (see [`Job::ON_END`]) is told of the job that ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended<P> {
    /// The job that ended.
    pub job_id: JobId,
    /// Its kind.
    pub kind: String,
    /// Dead or cancelled.
    pub state: JobState,
    /// The last error, or why it was cancelled.
    pub reason: Option<String>,
    /// Its payload.
    pub payload: P,
}

/// A job to be enqueued, with how and when.
#[derive(Debug)]
pub struct NewJob {
    pub(crate) kind: &'static str,
    pub(crate) pool: &'static str,
    pub(crate) max_attempts: u16,
    pub(crate) payload: Result<Box<RawValue>, serde_json::Error>,
    pub(crate) priority: i16,
    pub(crate) run_at: Option<DateTime<Utc>>,
    pub(crate) lane: Option<String>,
    pub(crate) unique_key: Option<String>,
    pub(crate) trace: Option<TraceParent>,
}

impl NewJob {
    /// A job that is due at once, in its kind's pool, in no lane.
    pub fn of<J: Job>(job: &J) -> Self {
        Self {
            kind: J::KIND,
            pool: J::POOL,
            max_attempts: J::MAX_ATTEMPTS,
            payload: serde_json::value::to_raw_value(job),
            priority: 0,
            run_at: None,
            lane: None,
            unique_key: None,
            trace: None,
        }
    }

    /// In another pool than the kind's own.
    #[must_use]
    pub fn pool(mut self, pool: &'static str) -> Self {
        self.pool = pool;
        self
    }

    /// Jobs of one lane run one at a time, in the order in which their transactions committed, over all processes.
    #[must_use]
    pub fn lane(mut self, lane: impl Into<String>) -> Self {
        self.lane = Some(lane.into());
        self
    }

    /// Not before this moment.
    #[must_use]
    pub fn run_at(mut self, moment: DateTime<Utc>) -> Self {
        self.run_at = Some(moment);
        self
    }

    /// Higher goes first; 0 unless set. In a lane it also goes before what waits there with less.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// While a job with this key is live, another is reported as a duplicate instead of being enqueued. It is also the
    /// name by which the job can be woken. The key is free again when the job ends: it proves no uniqueness beyond
    /// that.
    #[must_use]
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Whether it is due at once and nothing needs to be looked up for it.
    pub(crate) fn is_plain(&self) -> bool {
        self.lane.is_none() && self.unique_key.is_none() && self.run_at.is_none()
    }

    /// Part of this trace; otherwise of the one that the code runs in which enqueues it.
    #[must_use]
    pub fn trace(mut self, trace: TraceParent) -> Self {
        self.trace = Some(trace);
        self
    }
}

impl<J: Job> From<&J> for NewJob {
    fn from(job: &J) -> Self {
        Self::of(job)
    }
}

/// What became of an enqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// A new job.
    New(JobId),
    /// A live job has the same unique key; nothing was added.
    Duplicate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follow_up_is_told_in_camel_case() {
        let told = serde_json::json!({"jobId": 7, "kind": "send_chunk", "state": "dead", "reason": "gone", "payload": {"chunk": 3}});

        let ended: Ended<serde_json::Value> = serde_json::from_value(told.clone()).unwrap();

        assert_eq!(ended.job_id, JobId(7));
        assert_eq!(serde_json::to_value(ended).unwrap(), told);
    }
}
