//! How attempts end.

use std::sync::Arc;
use std::time::Duration;

use crate::worker::claimed::{ClaimedJob, Occupancy, OwnedJob};

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptOutcome {
    Done,
    Failed { delay: Duration, error: String },
    Aborted(String),
    Snoozed(Duration),
    HandedBack,
    Cancelled(String),
}

impl AttemptOutcome {
    /// Its word in `queue.settle`; `None`: it is a success, which is stored with others.
    pub(crate) fn verdict(&self) -> Option<&'static str> {
        match self {
            Self::Done => None,
            Self::Failed { .. } => Some("failed"),
            Self::Aborted(_) => Some("aborted"),
            Self::Snoozed(_) => Some("snoozed"),
            Self::HandedBack => Some("handed_back"),
            Self::Cancelled(_) => Some("cancelled"),
        }
    }
}

/// An outcome on its way to the database.
pub(crate) struct Completion {
    pub(crate) job: Arc<OwnedJob>,
    pub(crate) outcome: AttemptOutcome,
    /// A suspect counts as running until its outcome is stored.
    _occupancy: Option<Arc<Occupancy>>,
}

impl Completion {
    pub(crate) fn of(job: ClaimedJob, outcome: AttemptOutcome) -> Self {
        let ClaimedJob { owned, occupancy } = job;
        let occupancy = (owned.row.suspicion > 0).then_some(occupancy);
        Self { job: owned, outcome, _occupancy: occupancy }
    }
}
