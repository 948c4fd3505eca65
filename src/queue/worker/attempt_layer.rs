//! One attempt: runs the handler on a task of its own and judges its outcome.
//!
//! A panic, a timeout, a lost lease and a cancelled job are handled here, so that apalis sees every attempt as a
//! success. What apalis would do about a failure does not survive a crash; the completer stores the outcome instead.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::error::{AbortError, BoxDynError, RetryAfterError};
use apalis_core::layers::Layer;
use apalis_core::task::Task;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinError;
use tower::Service;
use tracing::Instrument;

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
mod tests {
    use std::time::Instant;

    use sqlx::postgres::PgPoolOptions;
    use tokio::sync::oneshot;

    use super::*;
    use crate::Queue;
    use crate::job::JobId;
    use crate::settings::QueueSettings;
    use crate::worker::claimed::JobClaim;
    use crate::worker::lease::Lease;
    use crate::worker::process::WorkerProcess;

    #[test]
    fn a_cancelled_job_whose_handler_fails_in_the_meantime_is_not_tried_again() {
        let (row, registry) = (ClaimedRow::plain(7, 1), Registry::default());
        let outcome =
            |is_cancelled| outcome_of(&row, &registry, is_cancelled, Ok(Err("no connection".into())));

        assert!(
            matches!(outcome(true), AttemptOutcome::Cancelled(reason) if reason == "cancelled while it ran: no connection")
        );
        assert!(matches!(outcome(false), AttemptOutcome::Failed { error, .. } if error == "no connection"));
        let done = outcome_of(&row, &registry, true, Ok(Ok(())));
        assert!(matches!(done, AttemptOutcome::Done), "what it did counts");
    }

    /// A process with a lease, and a pool whose jobs may run for so long.
    fn layer(timeout: Duration) -> (Arc<WorkerProcess>, AttemptLayer) {
        let pg = PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap();
        let queue = Queue::open(pg, QueueSettings::default());
        let (completer, _) = Completer::start(queue.clone());
        let pool = Arc::new(PoolState::new("test".into(), 9, timeout));
        let process = WorkerProcess::with_lease(queue, Lease::new(1));
        (
            process,
            AttemptLayer {
                pool,
                registry: Arc::default(),
                completer,
                cancel_grace: Duration::from_millis(20),
            },
        )
    }

    fn claim(process: &Arc<WorkerProcess>, layer: &AttemptLayer) -> Arc<JobClaim> {
        process.job_claim(&layer.pool).unwrap()
    }

    /// A handler that never ends, and what tells that it is gone.
    fn hanging() -> (AbortOnDrop, oneshot::Receiver<()>) {
        let (held, gone) = oneshot::channel::<()>();
        let handler = async move {
            let _held = held;
            std::future::pending().await
        };
        (AbortOnDrop(tokio::spawn(handler)), gone)
    }

    /// In the time that a test has.
    async fn soon<T>(deed: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), deed).await.expect("it happens")
    }

    #[tokio::test]
    async fn a_cancelled_job_is_ended_after_its_grace_and_no_other_is() {
        let (process, layer) = layer(Duration::from_secs(3600));
        let claim = claim(&process, &layer);
        let (one, other) = (ClaimedRow::plain(7, 1), ClaimedRow::plain(8, 1));
        let (one, other) = (ClaimedJob::new(one, &claim, None), ClaimedJob::new(other, &claim, None));
        let ((handler, gone), (other_handler, _)) = (hanging(), hanging());
        let mut running = pin!(layer.run(handler, &one.owned));
        let mut other_running = pin!(layer.run(other_handler, &other.owned));
        assert!(futures::poll!(&mut running).is_pending() && futures::poll!(&mut other_running).is_pending());

        process.request_cancels(&[JobId(7)].into());
        let outcome = soon(running).await;

        assert!(matches!(outcome, Some(AttemptOutcome::Cancelled(_))));
        assert!(soon(gone).await.is_err(), "its handler is gone");
        assert!(futures::poll!(&mut other_running).is_pending());
    }

    #[tokio::test]
    async fn a_lost_lease_ends_every_running_job_and_every_one_that_comes_too_late() {
        let (process, layer) = layer(Duration::from_secs(3600));
        let claim = claim(&process, &layer);
        let early = ClaimedJob::new(ClaimedRow::plain(7, 1), &claim, None);
        let ((handler, gone), (late_handler, late_gone)) = (hanging(), hanging());
        let mut running = pin!(layer.run(handler, &early.owned));
        assert!(futures::poll!(&mut running).is_pending());

        process.lose_lease(&claim.lease, "a test took it");
        let late = ClaimedJob::new(ClaimedRow::plain(8, 1), &claim, None);

        assert!(soon(running).await.is_none());
        assert!(soon(layer.run(late_handler, &late.owned)).await.is_none());
        assert!(soon(gone).await.is_err() && soon(late_gone).await.is_err(), "both handlers are gone");
    }

    #[tokio::test]
    async fn a_handler_that_blocks_its_thread_is_timed_out_as_well() {
        let timeout = Duration::from_millis(50);
        let (process, layer) = layer(timeout);
        let job = ClaimedJob::new(ClaimedRow::plain(7, 1), &claim(&process, &layer), None);
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let handler = AbortOnDrop(tokio::task::spawn_blocking(move || Ok(blocked.recv()?)));
        let begun = Instant::now();

        let outcome = soon(layer.run(handler, &job.owned)).await;

        assert!(
            matches!(outcome, Some(AttemptOutcome::Failed { error, .. }) if error == "timed out after 50ms")
        );
        assert!(begun.elapsed() >= timeout);
        drop(release);
    }
}
