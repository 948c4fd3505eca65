//! A claim of jobs while it is under way: on a task of its own, so that a dropped backend loses none of them.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinHandle;

use crate::worker::claimed::{self, ClaimedJob, JobClaim};
use crate::worker::process::WorkerProcess;
use crate::worker::suspects::SuspectPermit;

/// The pause after a failed claim.
const CLAIM_PAUSE: Duration = Duration::from_millis(250);

/// A claim on a task of its own.
pub(crate) struct PendingClaim {
    pub(crate) jobs: JoinHandle<Vec<ClaimedJob>>,
    /// The most jobs that it may bring.
    pub(crate) room: usize,
}

impl PendingClaim {
    /// Claims up to `room` jobs.
    pub(crate) fn of_jobs(request: Arc<JobClaim>, room: usize) -> Self {
        Self { jobs: tokio::spawn(claim(request, room)), room }
    }

    /// Claims one suspect. A pool makes one such claim at a time.
    pub(crate) fn of_suspect(request: Arc<JobClaim>, permit: SuspectPermit) -> Self {
        Self { jobs: tokio::spawn(claim_suspect(request, permit)), room: 1 }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<ClaimedJob>> {
        // A claim that panicked brought no jobs.
        self.jobs.poll_unpin(cx).map(Result::unwrap_or_default)
    }
}

/// One claim of up to `room` jobs. After a full claim, and after a pause also after a failed one, the pool claims
/// again.
async fn claim(request: Arc<JobClaim>, room: usize) -> Vec<ClaimedJob> {
    let answered = {
        let _claiming = request.pool.claims.read().await;
        let claiming = async {
            let _permit = request.process.queue.batch_permit(room).await;
            claimed::claim(&request, room).await
        };
        within_timeout(&request.process, claiming).await
    };
    match answered {
        Some(jobs) => {
            request.process.remove_in_doubt();
            if jobs.len() == room {
                request.pool.wake();
            }
            jobs
        }
        None => {
            hand_back_unknown(&request, false).await;
            request.pool.wake();
            Vec::new()
        }
    }
}

/// A claim of one suspect.
async fn claim_suspect(request: Arc<JobClaim>, permit: SuspectPermit) -> Vec<ClaimedJob> {
    let answered = {
        let _claiming = request.pool.claims.read().await;
        within_timeout(&request.process, claimed::claim_suspect(&request, permit)).await
    };
    match answered {
        Some(claimed) => {
            request.process.remove_in_doubt();
            if !claimed.is_empty() {
                request.pool.wake_for_suspects();
            }
            claimed
        }
        None => {
            hand_back_unknown(&request, true).await;
            Vec::new()
        }
    }
}

/// Hands back the jobs of a claim without an answer, before the pool claims again. The claim may have happened, and
/// then the lease would hold its jobs for ever. A stop and a lost lease hand back all jobs anyway.
async fn hand_back_unknown(request: &JobClaim, suspects: bool) {
    while !request.pool.is_closing() && !request.lease.is_lost() {
        tokio::time::sleep(CLAIM_PAUSE).await;
        let _alone = request.pool.claims.write().await;
        if let Some(returned) =
            within_timeout(&request.process, claimed::hand_back_unknown(request, suspects)).await
        {
            request.process.remove_in_doubt();
            if returned > 0 {
                tracing::warn!("Handed back {returned} jobs: the answer to their claim was lost");
            }
            // Claims of other pools that were under way have been invalidated and brought no jobs, so all pools look
            // again.
            request.process.queue.notifier().wake_all_here();
            return;
        }
    }
}

async fn within_timeout<T>(
    process: &WorkerProcess,
    claim: impl Future<Output = sqlx::Result<T>>,
) -> Option<T> {
    match tokio::time::timeout(process.queue.settings().statement_timeout, claim).await {
        Ok(Ok(claimed)) => Some(claimed),
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "Could not claim jobs; trying again");
            None
        }
        Err(_) => {
            tracing::warn!("Could not claim jobs: the database does not answer; trying again");
            None
        }
    }
}
