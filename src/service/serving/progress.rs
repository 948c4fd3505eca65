//! What a connection is doing, and since when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::ConnectionLimits;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is open, and nothing has come yet.
    New,
    /// A request has begun, and its head is not complete.
    Head,
    /// The head is complete, and the body is not.
    Body,
    /// The request is complete, and its answer is not: it is our turn.
    Answer,
    /// An answer is complete, and no other request has begun.
    Idle,
}

/// What a connection is doing; clones are the same thing.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<ProgressState>>);

struct ProgressState {
    phase: Phase,
    since: Instant,
    /// The client takes nothing more of its answer since then.
    unread_since: Option<Instant>,
}

impl Progress {
    /// Of a connection that has just been opened.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(ProgressState {
            phase: Phase::New,
            since: Instant::now(),
            unread_since: None,
        })))
    }

    /// Bytes have come.
    pub(super) fn bytes_came(&self) {
        let mut state = self.state();
        match state.phase {
            // What the first head may take is counted from the connection on.
            Phase::New => state.phase = Phase::Head,
            Phase::Idle => state.enter(Phase::Head),
            Phase::Head | Phase::Body | Phase::Answer => {}
        }
    }

    /// The head of a request is complete; a body may follow.
    pub(super) fn head_came(&self, body_follows: bool) {
        self.state().enter(if body_follows { Phase::Body } else { Phase::Answer });
    }

    /// The body of a request is complete, or nobody waits for it any more.
    pub(super) fn body_came(&self) {
        let mut state = self.state();
        if state.phase == Phase::Body {
            state.enter(Phase::Answer);
        }
    }

    /// The answer is written, or given up.
    pub(super) fn answered(&self) {
        self.state().enter(Phase::Idle);
    }

    /// The client takes more of its answer, or does not.
    pub(super) fn is_read(&self, is_read: bool) {
        let mut state = self.state();
        match state.unread_since {
            Some(_) if is_read => state.unread_since = None,
            None if !is_read => state.unread_since = Some(Instant::now()),
            _ => {}
        }
    }

    /// When the connection is closed if nothing more happens; `None`: never, since the next step is ours.
    pub(super) fn deadline(&self, limits: &ConnectionLimits) -> Option<Instant> {
        let state = self.state();
        let of_phase = match state.phase {
            Phase::New | Phase::Head => Some(state.since + limits.client.head_timeout),
            Phase::Body => Some(state.since + limits.client.body_timeout),
            Phase::Answer => None,
            Phase::Idle => Some(state.since + limits.client.idle_timeout),
        };
        let of_reader = state.unread_since.map(|since| since + limits.client.idle_timeout);
        of_phase.into_iter().chain(of_reader).min()
    }

    /// Since when we wait for the client; `None`: the client waits for us.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        state.unread_since.or_else(|| (state.phase != Phase::Answer).then_some(state.since))
    }

    /// Since when we wait for a body.
    pub(super) fn body_waited_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Body).then_some(state.since)
    }

    /// Whether no request is under way.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.state().phase, Phase::New | Phase::Idle)
    }

    fn state(&self) -> MutexGuard<'_, ProgressState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProgressState {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}
