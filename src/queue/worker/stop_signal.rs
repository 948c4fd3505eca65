//! The signal by which whoever watches an attempt learns that a person has cancelled its job, or that its lease is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;

/// Reaches the one task that watches the attempt. The process finds the signal through its map of jobs, so no job has to
/// wait on what all jobs share.
#[derive(Default)]
pub(crate) struct StopSignal {
    cancelled: AtomicBool,
    watcher: AtomicWaker,
}

impl StopSignal {
    /// Notes that a person wants the job to stop.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Has the attempt look at its lease again.
    pub(crate) fn wake(&self) {
        self.watcher.wake();
    }

    /// Whom a later signal wakes. What it may be about is looked at after this, so that a signal in between is not
    /// missed.
    pub(crate) fn register(&self, watcher: &Waker) {
        self.watcher.register(watcher);
    }
}
