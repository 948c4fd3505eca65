//! The lease that claims stand on.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// One lease, from the registration to its loss or to the stop.
pub(crate) struct Lease {
    pub(crate) worker_id: i64,
    lost: AtomicBool,
    loss: CancellationToken,
}

impl Lease {
    pub(crate) fn new(worker_id: i64) -> Self {
        Self { worker_id, lost: AtomicBool::new(false), loss: CancellationToken::new() }
    }

    /// Ends the lease: outcomes of its claims no longer count. [`WorkerProcess`](crate::worker::process::WorkerProcess)
    /// does it, since running jobs must be told as well.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
        self.loss.cancel();
    }

    /// Looks at a flag alone: every attempt asks, and the token would lock what all of them share.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Resolves when the lease is lost.
    pub(crate) async fn lost(&self) {
        self.loss.cancelled().await;
    }
}
