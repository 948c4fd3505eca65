//! The apalis backend of one pool: claims as many jobs as the pool has room for, and never fails.
//!
//! An apalis worker ends with the first error of its backend, so an error of the database is logged and the claim is
//! tried again after a pause. Heartbeats, acknowledgements and decoding, which apalis' own Postgres storage does in its
//! backend, are done by [`crate::worker::process`], [`crate::worker::completer`] and [`crate::registry`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use tokio::runtime::Handle;
use tower::layer::util::Identity;

use crate::worker::claim_gap::ClaimGap;
use crate::worker::claimed::ClaimedJob;
use crate::worker::completer::Completer;
use crate::worker::outcome::{AttemptOutcome, Completion};
use crate::worker::pending_claim::PendingClaim;
use crate::worker::pool::PoolState;
use crate::worker::process::WorkerProcess;

/// Claims of a pool that may be under way at a time: Postgres executes one while the jobs of the other are on their way
/// here.
const CONCURRENT_CLAIMS: usize = 2;

pub(crate) struct PoolBackend {
    process: Arc<WorkerProcess>,
    pool: Arc<PoolState>,
    completer: Completer,
    ready: VecDeque<ClaimedJob>,
    pending_claims: Vec<PendingClaim>,
    pending_suspect: Option<PendingClaim>,
    /// The last claim got as many jobs as it asked for, so there are probably more.
    last_claim_was_full: bool,
    claim_gap: ClaimGap,
}

impl PoolBackend {
    pub(crate) fn new(process: Arc<WorkerProcess>, pool: Arc<PoolState>, completer: Completer) -> Self {
        Self {
            process,
            pool,
            completer,
            ready: VecDeque::new(),
            pending_claims: Vec::new(),
            pending_suspect: None,
            last_claim_was_full: false,
            claim_gap: ClaimGap::default(),
        }
    }

    fn hand_back(&mut self) {
        for job in self.ready.drain(..) {
            self.completer.send(Completion::of(job, AttemptOutcome::HandedBack));
        }
    }

    /// Takes the jobs of claims that have ended. True: one has.
    fn poll_claims(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ended = false;
        self.pending_claims.retain_mut(|claim| {
            let Poll::Ready(jobs) = claim.poll(cx) else { return true };
            self.last_claim_was_full = jobs.len() == claim.room;
            self.claim_gap.note_claim(self.last_claim_was_full);
            self.ready.extend(jobs);
            ended = true;
            false
        });
        if let Some(Poll::Ready(jobs)) = self.pending_suspect.as_mut().map(|claim| claim.poll(cx)) {
            self.pending_suspect = None;
            self.ready.extend(jobs);
            ended = true;
        }
        ended
    }

    /// Starts claims if jobs may be due and there is room. True: one was started.
    fn start_claims(&mut self, cx: &mut Context<'_>) -> bool {
        let mut free = self.free_room();
        let mut started = false;
        // Room for a single job is left to an ordinary claim, if there is one to make.
        if free > 1 && self.start_suspect_claim() {
            free -= 1;
            started = true;
        }
        let room = free.min(self.process.queue.settings().batch);
        if self.may_claim(room, free, cx)
            && let Some(request) = self.process.job_claim(&self.pool)
        {
            self.pending_claims.push(PendingClaim::of_jobs(request, room));
            started = true;
        }
        if free == 1 && self.pending_claims.is_empty() {
            started |= self.start_suspect_claim();
        }
        started
    }

    /// Whether to claim so many jobs now, with so much room free. While jobs are here or on their way only a full batch is claimed: otherwise
    /// each job that ends would cause a claim of one.
    fn may_claim(&mut self, room: usize, free: usize, cx: &mut Context<'_>) -> bool {
        if self.pending_claims.is_empty() && self.ready.is_empty() {
            return room > 0
                && !self.claim_gap.holds_back(free, self.pool.concurrency, cx)
                && self.pool.take_jobs_due();
        }
        room == self.process.queue.settings().batch
            && self.pending_claims.len() < CONCURRENT_CLAIMS
            && (self.pool.take_jobs_due() || self.last_claim_was_full)
    }

    /// Room that is neither taken nor reserved for claims under way.
    fn free_room(&self) -> usize {
        let reserved: usize =
            self.pending_claims.iter().chain(&self.pending_suspect).map(|claim| claim.room).sum();
        self.pool.free_room().saturating_sub(reserved)
    }

    fn start_suspect_claim(&mut self) -> bool {
        if self.pending_suspect.is_some() || !self.pool.take_suspects_due() {
            return false;
        }
        // If no suspect may start now, the poller sets the flag again.
        let Some(permit) = self.process.suspects.try_acquire() else { return false };
        let Some(request) = self.process.job_claim(&self.pool) else { return false };
        self.pending_suspect = Some(PendingClaim::of_suspect(request, permit));
        true
    }
}

impl Drop for PoolBackend {
    /// A backend that still has jobs is dropped only by a panic inside apalis. The jobs go back, or the lease would
    /// hold them for ever.
    fn drop(&mut self) {
        self.hand_back();
        let Ok(runtime) = Handle::try_current() else { return };
        for claim in self.pending_claims.drain(..).chain(self.pending_suspect.take()) {
            let completer = self.completer.clone();
            runtime.spawn(async move {
                for job in claim.jobs.await.unwrap_or_default() {
                    completer.send(Completion::of(job, AttemptOutcome::HandedBack));
                }
            });
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
        // Registered before anything is looked at, so that a wake-up in between is not missed.
        self.pool.waker.register(cx.waker());
        if self.pool.is_closing() {
            // Jobs that have not started go back now, not when the last running job has ended.
            self.hand_back();
            // An apalis worker whose backend has ended waits until it is stopped. An error says that it has been
            // stopped already.
            let _ = worker.stop();
            return Poll::Ready(None);
        }
        // A claim that has just started must be polled, or its end wakes nobody.
        while self.start_claims(cx) || self.poll_claims(cx) {}
        match self.ready.pop_front() {
            Some(job) => Poll::Ready(Some(Ok(Task::new(job)))),
            None => Poll::Pending,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        // Claims under way are waited for: their jobs must be handed back.
        while self.poll_claims(cx) {}
        if !self.pending_claims.is_empty() || self.pending_suspect.is_some() {
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
