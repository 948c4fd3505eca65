//! One attempt: runs the handler on a task of its own and judges its outcome.
//!
//! A panic, a timeout, a lost lease and a cancelled job are handled here, so that apalis sees every attempt as a
//! success. What apalis would do about a failure does not survive a crash; the completer stores the outcome instead.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use apalis_core::error::{AbortError, BoxDynError, RetryAfterError};
use apalis_core::layers::Layer;
use apalis_core::task::Task;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinError;
use tower::Service;
use tracing::Instrument;

use crate::attempt_counts::AttemptCounts;
use crate::failure::{Snoozed, describe};
use crate::registry::Registry;
use crate::trace::TraceParent;
use crate::worker::claimed::{ClaimedJob, ClaimedRow, OwnedJob};
use crate::worker::completer::Completer;
use crate::worker::outcome::{AttemptOutcome, Completion};
use crate::worker::pool::PoolState;

#[derive(Clone)]
pub(crate) struct AttemptLayer {
    pub(crate) pool: Arc<PoolState>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) completer: Completer,
    pub(crate) cancel_grace: Duration,
    pub(crate) counts: Arc<AttemptCounts>,
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempts<S>;

    fn layer(&self, inner: S) -> Attempts<S> {
        Attempts { inner, around: Arc::new(self.clone()) }
    }
}

#[derive(Clone)]
pub(crate) struct Attempts<S> {
    inner: S,
    around: Arc<AttemptLayer>,
}

impl<S> Service<Task<ClaimedJob>> for Attempts<S>
where
    S: Service<Task<ClaimedJob>, Response = (), Error = BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<ClaimedJob>) -> Self::Future {
        let job = task.args.clone();
        let around = self.around.clone();
        let row = &job.owned.row;
        let begun = Instant::now();
        let trace = row
            .traceparent
            .as_deref()
            .and_then(TraceParent::parse)
            .map_or_else(TraceParent::root, |from| from.child());
        let span = tracing::info_span!("job", kind = %row.kind, job.id = row.id.0, attempt = row.attempt + 1, trace = trace.trace_id());
        let handler = trace.scope(self.inner.call(task).instrument(span.clone()));
        // On a task of its own, so that it may run on any core and a panic stays inside.
        let running = AbortOnDrop(tokio::spawn(handler));
        Box::pin(async move {
            if let Some(outcome) = around.run(running, &job.owned).await {
                span.in_scope(|| log(&job.owned.row, &outcome));
                around.counts.add(&job.owned.row, &outcome, begun.elapsed());
                if matches!(outcome, AttemptOutcome::Done) && job.owned.is_completed() {
                    job.owned.mark_stored();
                } else {
                    around.completer.send(Completion::of(job, outcome));
                }
            }
            Ok(())
        })
    }
}

impl AttemptLayer {
    /// The outcome of a handler, once it has ended or must. `None`: the lease was lost, and the outcome does not count.
    async fn run(&self, running: AbortOnDrop, job: &OwnedJob) -> Option<AttemptOutcome> {
        let (row, registry) = (&job.row, &*self.registry);
        let timeout = registry.get(&row.kind).and_then(|kind| kind.timeout).unwrap_or(self.pool.timeout);
        match self.watch(running, timeout, job).await {
            HandlerEnd::LeaseLost => None,
            HandlerEnd::Own(_) if job.claim.lease.is_lost() => None,
            HandlerEnd::Own(ended) => Some(outcome_of(row, registry, job.stop.is_cancelled(), ended)),
            HandlerEnd::TimedOut => Some(failed(row, registry, None, format!("timed out after {timeout:?}"))),
            HandlerEnd::CancelOver => Some(AttemptOutcome::Cancelled(
                "cancelled while it ran; it did not stop by itself".to_owned(),
            )),
        }
    }

    /// Waits until the handler ends, or must. It registers with this job's own signal alone, and with its timers.
    async fn watch(&self, mut running: AbortOnDrop, timeout: Duration, job: &OwnedJob) -> HandlerEnd {
        let mut timeout = pin!(tokio::time::sleep(timeout));
        let mut grace = None;
        poll_fn(|cx| {
            if let Poll::Ready(ended) = running.0.poll_unpin(cx) {
                return Poll::Ready(HandlerEnd::Own(ended));
            }
            job.stop.register(cx.waker());
            if job.claim.lease.is_lost() {
                return Poll::Ready(HandlerEnd::LeaseLost);
            }
            if job.stop.is_cancelled() {
                let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.cancel_grace)));
                if grace.poll_unpin(cx).is_ready() {
                    return Poll::Ready(HandlerEnd::CancelOver);
                }
            }
            timeout.as_mut().poll(cx).map(|()| HandlerEnd::TimedOut)
        })
        .await
    }
}

/// How a handler's run ended.
enum HandlerEnd {
    /// By itself.
    Own(Result<Result<(), BoxDynError>, JoinError>),
    TimedOut,
    LeaseLost,
    /// A person has cancelled the job, and it did not stop in time.
    CancelOver,
}

/// The outcome that the end of a handler's task stands for. A job that a person has cancelled is not tried again, whatever its handler says; of other ends the database sees to that (`queue.settle`).
fn outcome_of(
    row: &ClaimedRow,
    registry: &Registry,
    is_cancelled: bool,
    ended: Result<Result<(), BoxDynError>, JoinError>,
) -> AttemptOutcome {
    match ended {
        Ok(Ok(())) => AttemptOutcome::Done,
        Ok(Err(error)) if is_cancelled => {
            AttemptOutcome::Cancelled(format!("cancelled while it ran: {}", describe(&*error)))
        }
        Ok(Err(error)) => judge(row, registry, &error),
        Err(panic) => failed(row, registry, None, describe_panic(panic)),
    }
}

/// The outcome that a handler's error stands for. Where apalis has an error of that meaning, it is used.
fn judge(row: &ClaimedRow, registry: &Registry, error: &BoxDynError) -> AttemptOutcome {
    if let Some(snoozed) = error.downcast_ref::<Snoozed>() {
        return AttemptOutcome::Snoozed(snoozed.0);
    }
    if error.is::<AbortError>() {
        return AttemptOutcome::Aborted(error.source().map_or_else(|| error.to_string(), describe));
    }
    if let Some(retry) = error.downcast_ref::<RetryAfterError>() {
        let text = error.source().map_or_else(|| error.to_string(), describe);
        return failed(row, registry, Some(retry.get_duration()), text);
    }
    failed(row, registry, None, describe(&**error))
}

fn failed(row: &ClaimedRow, registry: &Registry, delay: Option<Duration>, error: String) -> AttemptOutcome {
    let failed_attempts = u16::try_from(row.attempt).unwrap_or(0) + 1;
    let backoff = registry.get(&row.kind).map_or(crate::backoff::Backoff::DEFAULT, |kind| kind.backoff);
    AttemptOutcome::Failed {
        delay: delay.unwrap_or_else(|| backoff.delay(failed_attempts, rand::random())),
        error,
    }
}

fn describe_panic(ended: JoinError) -> String {
    match ended.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let text = text
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            let text = outside::words::without_literals(&text);
            describe(&*BoxDynError::from(format!("panicked: {text}")))
        }
        Err(_) => "its task was stopped".to_owned(),
    }
}

fn log(row: &ClaimedRow, outcome: &AttemptOutcome) {
    let (kind, id, attempt) = (&row.kind, row.id, row.attempt + 1);
    match outcome {
        AttemptOutcome::Done => tracing::debug!("Did {kind} {id}"),
        AttemptOutcome::Snoozed(delay) => tracing::debug!("Put off {kind} {id} for {delay:?}"),
        AttemptOutcome::HandedBack => tracing::debug!("Handed back {kind} {id}"),
        AttemptOutcome::Failed { error, .. } if attempt >= row.max_attempts => {
            tracing::error!(error, "Gave up {kind} {id} after attempt {attempt}: {error}");
        }
        AttemptOutcome::Failed { delay, error } => {
            tracing::warn!(error, "Attempt {attempt} of {kind} {id} failed, again in {delay:.1?}: {error}");
        }
        AttemptOutcome::Aborted(reason) => tracing::error!(reason, "Gave up {kind} {id}: {reason}"),
        AttemptOutcome::Cancelled(reason) => tracing::info!(reason, "Cancelled {kind} {id}: {reason}"),
    }
}

/// Aborts the handler's task when the attempt ends in any way.
struct AbortOnDrop(tokio::task::JoinHandle<Result<(), BoxDynError>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
