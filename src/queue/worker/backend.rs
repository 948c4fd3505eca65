//! The apalis backend of one pool: claims exactly as many jobs as there are free slots, and never fails.
//!
//! An error of the database is logged and slept on, since an apalis worker ends with the first error of its backend. What apalis'
//! own Postgres storage does in the same place (heartbeats, acknowledgements, decoding) is done elsewhere here: by the session,
//! the completer and the dispatch.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower::layer::util::Identity;

use crate::worker::claimed::{self, Call, ClaimedJob};
use crate::worker::completer::{Completer, Completion, Verdict};
use crate::worker::pool::PoolState;
use crate::worker::session::Session;
use crate::worker::suspects::Leave;

/// After a failed claim the pool waits this long; then it looks again.
const CLAIM_PAUSE: Duration = Duration::from_millis(250);

/// Claims of a pool that may be under way at a time: while one's jobs are on their way, the next is carried out.
const CLAIMS: usize = 2;

pub(crate) struct PoolBackend {
    session: Arc<Session>,
    pool: Arc<PoolState>,
    completer: Completer,
    ready: VecDeque<ClaimedJob>,
    claiming: Vec<UnderWay>,
    suspecting: Option<UnderWay>,
    /// The last claim got all that it asked for, so there is more.
    flowing: bool,
}

/// A claim on a task of its own, and the slots that its jobs may need.
struct UnderWay {
    jobs: JoinHandle<Vec<ClaimedJob>>,
    slots: usize,
}

impl UnderWay {
    fn begin(slots: usize, claim: impl Future<Output = Vec<ClaimedJob>> + Send + 'static) -> Self {
        Self { jobs: tokio::spawn(claim), slots }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<ClaimedJob>> {
        // A claim that panicked has brought nothing.
        self.jobs.poll_unpin(cx).map(Result::unwrap_or_default)
    }
}

impl PoolBackend {
    pub(crate) fn new(session: Arc<Session>, pool: Arc<PoolState>, completer: Completer) -> Self {
        Self {
            session,
            pool,
            completer,
            ready: VecDeque::new(),
            claiming: Vec::new(),
            suspecting: None,
            flowing: false,
        }
    }

    fn hand_back(&mut self) {
        for job in self.ready.drain(..) {
            self.completer.send(Completion::of(job, Verdict::HandedBack));
        }
    }

    /// Takes what claims have brought; true when one has ended.
    fn poll_claims(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ended = false;
        self.claiming.retain_mut(|claim| {
            let Poll::Ready(jobs) = claim.poll(cx) else { return true };
            self.flowing = jobs.len() == claim.slots;
            self.ready.extend(jobs);
            ended = true;
            false
        });
        if let Some(Poll::Ready(jobs)) = self.suspecting.as_mut().map(|claim| claim.poll(cx)) {
            self.suspecting = None;
            self.ready.extend(jobs);
            ended = true;
        }
        ended
    }

    /// Begins claims where there is hunger and room; true when one was begun.
    fn begin_claims(&mut self) -> bool {
        let mut free = self.free_slots();
        let mut begun = false;
        // The last free slot is for a claim of any number.
        if free > 1 && self.begin_suspect() {
            free -= 1;
            begun = true;
        }
        let slots = free.min(self.session.queue.settings().batch);
        if self.may_claim(slots)
            && let Some(call) = self.session.call(&self.pool)
        {
            self.claiming.push(UnderWay::begin(slots, claim(call, slots)));
            begun = true;
        }
        if free == 1 && self.claiming.is_empty() {
            begun |= self.begin_suspect();
        }
        begun
    }

    /// Whether to claim so many now. Beside jobs that are here or on their way only a full batch is worth it: slots that come free one by one
    /// would cost a claim each.
    fn may_claim(&self, slots: usize) -> bool {
        if self.claiming.is_empty() && self.ready.is_empty() {
            return slots > 0 && self.pool.take_hunger();
        }
        slots == self.session.queue.settings().batch
            && self.claiming.len() < CLAIMS
            && (self.pool.take_hunger() || self.flowing)
    }

    /// Slots that are neither taken nor kept for the jobs of claims under way.
    fn free_slots(&self) -> usize {
        let kept: usize = self.claiming.iter().chain(&self.suspecting).map(|claim| claim.slots).sum();
        self.pool.free_slots().saturating_sub(kept)
    }

    fn begin_suspect(&mut self) -> bool {
        if self.suspecting.is_some() || !self.pool.take_suspects() {
            return false;
        }
        // Not now: the poller raises the flag again.
        let Some(leave) = self.session.suspects.ask() else { return false };
        let Some(call) = self.session.call(&self.pool) else { return false };
        self.suspecting = Some(UnderWay::begin(1, claim_suspect(call, leave)));
        true
    }
}

impl Drop for PoolBackend {
    /// Only a panic inside apalis drops a backend that still has jobs; their lease would hold them for ever.
    fn drop(&mut self) {
        self.hand_back();
        let Ok(runtime) = Handle::try_current() else { return };
        for claim in self.claiming.drain(..).chain(self.suspecting.take()) {
            let completer = self.completer.clone();
            runtime.spawn(async move {
                for job in claim.jobs.await.unwrap_or_default() {
                    completer.send(Completion::of(job, Verdict::HandedBack));
                }
            });
        }
    }
}

/// One claim of up to `slots` jobs. A full one leaves the pool hungry; a failed one too, after a pause.
async fn claim(call: Call, slots: usize) -> Vec<ClaimedJob> {
    let answered = {
        let _noting = call.pool.claims.read().await;
        let in_turn = async {
            let _turn = call.session.queue.turn(slots).await;
            claimed::claim(&call, slots).await
        };
        within(&call.session, in_turn).await
    };
    match answered {
        Some(jobs) => {
            call.session.resolve();
            if jobs.len() == slots {
                call.pool.wake();
            }
            jobs
        }
        None => {
            give_back(&call, false).await;
            call.pool.wake();
            Vec::new()
        }
    }
}

/// A claim of one suspect. There is never another of the same pool under way.
async fn claim_suspect(call: Call, leave: Leave) -> Vec<ClaimedJob> {
    let answered = {
        let _noting = call.pool.claims.read().await;
        within(&call.session, claimed::claim_suspect(&call, leave)).await
    };
    match answered {
        Some(claimed) => {
            call.session.resolve();
            if !claimed.is_empty() {
                call.pool.wake_for_suspects();
            }
            claimed
        }
        None => {
            give_back(&call, true).await;
            Vec::new()
        }
    }
}

/// A claim without an answer may have happened, and then the lease would hold its jobs for ever: they go back before the pool claims again.
/// A stop and a lost lease give everything back anyway.
async fn give_back(call: &Call, suspects: bool) {
    while !call.pool.is_closing() && !call.incarnation.lost.is_cancelled() {
        tokio::time::sleep(CLAIM_PAUSE).await;
        let _alone = call.pool.claims.write().await;
        if let Some(returned) = within(&call.session, claimed::hand_back_unknown(call, suspects)).await {
            call.session.resolve();
            if returned > 0 {
                tracing::warn!("Handed back {returned} jobs: the answer to their claim was lost");
            }
            // Claims of other pools that were under way have come too late, and brought nothing whatever was due.
            call.session.queue.bell().ring_everything_here();
            return;
        }
    }
}

async fn within<T>(session: &Session, claim: impl Future<Output = sqlx::Result<T>>) -> Option<T> {
    match tokio::time::timeout(session.queue.settings().statement_timeout, claim).await {
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

impl Backend for PoolBackend {
    type Task = Task<ClaimedJob>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        // Registered before anything is looked at, so that a ring in between is not missed.
        self.pool.waker.register(cx.waker());
        if self.pool.is_closing() {
            // What has not started goes back now, not when the last running job has ended.
            self.hand_back();
            // A worker whose backend has ended waits for this before it ends too. That it has been stopped before is no error here.
            let _ = worker.stop();
            return Poll::Ready(None);
        }
        // A claim that has just begun must be polled, or nobody is told of its end.
        while self.begin_claims() || self.poll_claims(cx) {}
        match self.ready.pop_front() {
            Some(job) => Poll::Ready(Some(Ok(Task::new(job)))),
            None => Poll::Pending,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        // A claim under way is waited for, or its jobs would be held by nobody.
        while self.poll_claims(cx) {}
        if !self.claiming.is_empty() || self.suspecting.is_some() {
            return Poll::Pending;
        }
        self.hand_back();
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for PoolBackend {
    type Args = ClaimedJob;
    type Id = i64;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
