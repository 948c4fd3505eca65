//! The queue's durations and sizes.

use std::time::Duration;

use serde::Deserialize;

/// How the queue behaves in one process. [`QueueSettings::default`] fits production; it may be read from a file, where durations are
/// written `"30s"`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// How long a process owns its jobs without renewing the lease. After a `kill -9` its jobs are taken back when this
    /// has passed.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often the lease is renewed; a quarter of it or less, so that a lost answer does not lose the lease.
    #[serde(with = "humantime_serde")]
    pub renew: Duration,
    /// The longest time between two polls. Finds jobs whose wake-up was lost.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// How often a process may die while this job runs as the only suspect, before the job is dead.
    pub crash_limit: u16,
    /// The time between the starts of two suspects (jobs whose process died), unless the first one has ended.
    #[serde(skip)]
    pub suspect_stagger: Duration,
    /// How long a running job may go on after a person cancelled it, before it is stopped.
    #[serde(skip)]
    pub cancel_grace: Duration,
    /// The most jobs that one statement claims or completes.
    #[serde(skip)]
    pub batch: usize,
    /// Large batches that one process has under way at a time. Two keep two cores busy, and a third fills the time in
    /// which they wait for the disk. More would wait for each other's locks.
    #[serde(skip)]
    pub batches_at_once: usize,
    /// A statement of the queue that takes longer is cancelled and tried again.
    #[serde(skip)]
    pub statement_timeout: Duration,
    /// How often jobs and lanes that stand still are searched and repaired: jobs whose worker has no row, lanes without
    /// a head, completions that the database has lost. The first search is this long after the start; another one
    /// follows every lost connection.
    #[serde(with = "humantime_serde")]
    pub strays_every: Duration,
    /// How long finished jobs are kept, at least; they go by whole days.
    #[serde(with = "humantime_serde")]
    pub history: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renew: Duration::from_secs(7),
            poll: Duration::from_secs(1),
            crash_limit: 3,
            suspect_stagger: Duration::from_millis(250),
            cancel_grace: Duration::from_secs(5),
            batch: 500,
            batches_at_once: 3,
            statement_timeout: Duration::from_secs(10),
            strays_every: Duration::from_secs(600),
            history: Duration::from_secs(14 * 24 * 3600),
        }
    }
}
