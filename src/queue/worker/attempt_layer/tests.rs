//! How an attempt ends.

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
    let outcome = |is_cancelled| outcome_of(&row, &registry, is_cancelled, Ok(Err("no connection".into())));

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
            counts: Arc::new(AttemptCounts::of([])),
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

    assert!(matches!(outcome, Some(AttemptOutcome::Failed { error, .. }) if error == "timed out after 50ms"));
    assert!(begun.elapsed() >= timeout);
    drop(release);
}
