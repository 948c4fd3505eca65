//! The state of one pool in this process: its room, and whether jobs may be due.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::sync::RwLock;

use crate::job::JobId;

/// Shared by the notifier, the claims and the running jobs.
pub(crate) struct PoolState {
    pub(crate) name: String,
    pub(crate) concurrency: usize,
    /// The time limit of one attempt, unless the kind has its own.
    pub(crate) timeout: Duration,
    /// Jobs may be due. Set by every wake-up, so a wake-up during a claim leads to another claim.
    jobs_due: AtomicBool,
    /// Suspects may be due.
    suspects_due: AtomicBool,
    closing: AtomicBool,
    busy: AtomicUsize,
    /// The greatest number of a job that was claimed here.
    claimed_upto: AtomicI64,
    /// A claim holds the read lock until the process knows its jobs. A search for claimed jobs that the process does
    /// not know holds the write lock, or it would find jobs whose claim has not been answered yet.
    pub(crate) claims: RwLock<()>,
    /// Wakes the pool's apalis worker.
    pub(crate) waker: AtomicWaker,
}

impl PoolState {
    pub(crate) fn new(name: String, concurrency: usize, timeout: Duration) -> Self {
        Self {
            name,
            concurrency,
            timeout,
            jobs_due: AtomicBool::new(true),
            suspects_due: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            claimed_upto: AtomicI64::new(0),
            claims: RwLock::new(()),
            waker: AtomicWaker::new(),
        }
    }

    /// Has the pool look for due jobs.
    pub(crate) fn wake(&self) {
        self.jobs_due.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Has the pool look for due suspects.
    pub(crate) fn wake_for_suspects(&self) {
        self.suspects_due.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Ends claiming. Running jobs go on.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Whether jobs may be due; true once for any number of wake-ups.
    pub(crate) fn take_jobs_due(&self) -> bool {
        self.jobs_due.swap(false, Ordering::SeqCst)
    }

    /// Whether suspects may be due; true once for any number of wake-ups.
    pub(crate) fn take_suspects_due(&self) -> bool {
        self.suspects_due.swap(false, Ordering::SeqCst)
    }

    /// How many more jobs may run.
    pub(crate) fn free_room(&self) -> usize {
        self.concurrency.saturating_sub(self.busy.load(Ordering::SeqCst))
    }

    /// No job that this process has claimed in this pool has a greater number.
    pub(crate) fn claimed_upto(&self) -> JobId {
        JobId(self.claimed_upto.load(Ordering::SeqCst))
    }

    /// Takes room for this job.
    pub(crate) fn take_room(&self, job: JobId) {
        self.claimed_upto.fetch_max(job.0, Ordering::SeqCst);
        self.busy.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives back the room of one job.
    pub(crate) fn leave_room(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
        self.waker.wake();
    }
}
