//! The queue's times and sizes. All are configuration: a test makes them short.

use std::time::Duration;

/// How the queue behaves in one process. [`Settings::default`] fits production.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long a silent process keeps its jobs. After a `kill -9` they are taken back this much later.
    pub lease: Duration,
    /// How often the lease is renewed; a quarter of it or less, so that a lost answer does not lose the lease.
    pub renew_every: Duration,
    /// The longest time between two looks at the database when nobody rings: the net under lost wake-ups.
    pub poll_every: Duration,
    /// How often a process may die under one job, alone under suspicion, before the job is dead.
    pub crash_limit: u16,
    /// A job whose process died is started at least this long after the last such job, unless that one has ended.
    pub suspect_stagger: Duration,
    /// How long a running job may go on after a person cancelled it, before it is stopped.
    pub cancel_grace: Duration,
    /// Jobs claimed or completed by one statement at most.
    pub batch: usize,
    /// Large batches that one process gives the server at a time. Two keep two cores busy and a third fills the time in which they wait for the
    /// disk; more wait for each other's locks, and all of them take longer.
    pub batches_at_once: usize,
    /// A statement of the queue that takes longer is given up and tried again.
    pub statement_timeout: Duration,
    /// How often it is looked for what stands still, the first time so long after the start: jobs whose worker has no row, lanes without a head,
    /// ends that the database has forgotten. A net under everything else, and besides after every lost connection.
    pub strays_every: Duration,
    /// How long finished jobs are kept, at least; they go by whole days.
    pub history: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renew_every: Duration::from_secs(7),
            poll_every: Duration::from_secs(1),
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
