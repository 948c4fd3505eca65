//! The apalis backend of one pool: claims exactly as many jobs as there are free slots, and never fails.
//!
//! An error of the database is logged and slept on, since an apalis worker ends with the first error of its backend. What apalis'
//! own Postgres storage does in the same place (heartbeats, acknowledgements, decoding) is done elsewhere here: by the session,
//! the completer and the dispatch.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use futures::FutureExt;
use futures::future::BoxFuture;
use tower::layer::util::Identity;

use crate::worker::claimed::{self, Call, ClaimedJob};
use crate::worker::completer::{Completer, Completion, Verdict};
use crate::worker::pool::PoolState;
use crate::worker::session::Session;

/// After a failed claim the pool waits this long; then it looks again.
const CLAIM_PAUSE: Duration = Duration::from_millis(250);

pub(crate) struct PoolBackend {
    session: Arc<Session>,
    pool: Arc<PoolState>,
    completer: Completer,
    ready: VecDeque<ClaimedJob>,
    claiming: Option<BoxFuture<'static, Vec<ClaimedJob>>>,
    suspecting: Option<BoxFuture<'static, Vec<ClaimedJob>>>,
}

impl PoolBackend {
    pub(crate) fn new(session: Arc<Session>, pool: Arc<PoolState>, completer: Completer) -> Self {
        Self { session, pool, completer, ready: VecDeque::new(), claiming: None, suspecting: None }
    }

    fn hand_back(&mut self) {
        for job in self.ready.drain(..) {
            self.completer.send(Completion::of(&job, Verdict::HandedBack));
        }
    }

    /// Drives a claim that is under way; true when it brought jobs.
    fn poll_claims(&mut self, cx: &mut Context<'_>) -> bool {
        for claim in [&mut self.claiming, &mut self.suspecting] {
            let Some(future) = claim else { continue };
            if let Poll::Ready(jobs) = future.poll_unpin(cx) {
                *claim = None;
                self.ready.extend(jobs);
            }
        }
        !self.ready.is_empty()
    }

    /// Begins claims where there is hunger and room; true when one was begun.
    fn begin_claims(&mut self) -> bool {
        let free = self.pool.free_slots();
        let mut begun = false;
        if free > 0 && self.claiming.is_none() && self.pool.take_hunger() {
            let slots = free.min(self.session.queue.settings().batch);
            self.claiming = self.session.call(&self.pool).map(|call| claim(call, slots).boxed());
            begun = self.claiming.is_some();
        }
        if free > 1 || (free == 1 && self.claiming.is_none()) {
            begun |= self.begin_suspect();
        }
        begun
    }

    fn begin_suspect(&mut self) -> bool {
        if self.suspecting.is_some() || !self.pool.take_suspects() {
            return false;
        }
        // Not now: the poller raises the flag again.
        let Some(leave) = self.session.suspects.ask() else { return false };
        let Some(call) = self.session.call(&self.pool) else { return false };
        self.suspecting = Some(
            async move {
                match within(&call.session, claimed::claim_suspect(&call, leave)).await {
                    Some(claimed) if claimed.is_empty() => claimed,
                    Some(claimed) => {
                        call.pool.wake_for_suspects();
                        claimed
                    }
                    None => {
                        give_back(&call, true).await;
                        Vec::new()
                    }
                }
            }
            .boxed(),
        );
        true
    }
}

/// One claim of up to `slots` jobs. A full one leaves the pool hungry; a failed one too, after a pause.
async fn claim(call: Call, slots: usize) -> Vec<ClaimedJob> {
    match within(&call.session, claimed::claim(&call, slots)).await {
        Some(jobs) => {
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

/// A claim without an answer may have happened, and then the lease would hold its jobs for ever: they go back before the pool claims again.
/// A stop and a lost lease give everything back anyway.
async fn give_back(call: &Call, suspects: bool) {
    while !call.pool.is_closing() && !call.incarnation.lost.is_cancelled() {
        tokio::time::sleep(CLAIM_PAUSE).await;
        if let Some(returned) = within(&call.session, claimed::hand_back_unknown(call, suspects)).await {
            if returned > 0 {
                tracing::warn!("Handed back {returned} jobs: the answer to their claim was lost");
            }
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
        loop {
            if let Some(job) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Task::new(job))));
            }
            let begun = self.begin_claims();
            if !self.poll_claims(cx) && !begun {
                return Poll::Pending;
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        // A claim under way is waited for, or its jobs would be held by nobody.
        for claim in [&mut self.claiming, &mut self.suspecting] {
            if let Some(future) = claim {
                let jobs = ready!(future.poll_unpin(cx));
                *claim = None;
                self.ready.extend(jobs);
            }
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
