//! The shared state of one pool in this process: its slots, and whether there may be work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::sync::RwLock;

use crate::job::JobId;

/// Who rings, who claims and who runs all look at this.
pub(crate) struct PoolState {
    pub(crate) name: String,
    pub(crate) concurrency: usize,
    /// The limit of one attempt where the kind has none of its own.
    pub(crate) timeout: Duration,
    /// There may be jobs to claim. Set by every ring, so a ring during a claim leads to another claim.
    hungry: AtomicBool,
    /// There may be suspects to claim.
    suspects: AtomicBool,
    closing: AtomicBool,
    busy: AtomicUsize,
    /// The greatest number of a job that was ever claimed here.
    claimed_upto: AtomicI64,
    /// Claims under way hold it to read until their jobs are noted; who looks for jobs that nobody knows of holds it to write, or it would
    /// take those whose answer is still on its way.
    pub(crate) claims: RwLock<()>,
    /// The task of this pool's apalis worker.
    pub(crate) waker: AtomicWaker,
}

impl PoolState {
    pub(crate) fn new(name: String, concurrency: usize, timeout: Duration) -> Self {
        Self {
            name,
            concurrency,
            timeout,
            hungry: AtomicBool::new(true),
            suspects: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            claimed_upto: AtomicI64::new(0),
            claims: RwLock::new(()),
            waker: AtomicWaker::new(),
        }
    }

    /// There may be work: look.
    pub(crate) fn wake(&self) {
        self.hungry.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// There may be suspects: look.
    pub(crate) fn wake_for_suspects(&self) {
        self.suspects.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Claims no more. What runs goes on.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Whether to claim; answers yes once for any number of rings.
    pub(crate) fn take_hunger(&self) -> bool {
        self.hungry.swap(false, Ordering::SeqCst)
    }

    /// Whether to claim a suspect; answers yes once.
    pub(crate) fn take_suspects(&self) -> bool {
        self.suspects.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn free_slots(&self) -> usize {
        self.concurrency.saturating_sub(self.busy.load(Ordering::SeqCst))
    }

    /// No job that this process has claimed in this pool has a greater number.
    pub(crate) fn claimed_upto(&self) -> JobId {
        self.claimed_upto.load(Ordering::SeqCst)
    }

    /// Takes a slot for this job until the guard is dropped.
    pub(crate) fn occupy(self: &Arc<Self>, job: JobId) -> Slot {
        self.claimed_upto.fetch_max(job, Ordering::SeqCst);
        self.busy.fetch_add(1, Ordering::SeqCst);
        Slot(self.clone())
    }
}

/// One of a pool's slots, taken.
pub(crate) struct Slot(Arc<PoolState>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
        self.0.waker.wake();
    }
}
