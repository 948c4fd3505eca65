//! Stores outcomes in the database. A statement is tried again until the database has taken it or the lease is lost, so
//! no outcome is forgotten.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgQueryResult;
use tokio::sync::Semaphore;

use crate::Queue;
use crate::job::JobId;
use crate::worker::lease::Lease;
use crate::worker::outcome::{AttemptOutcome, Completion};
use crate::worker::tid::Tid;

/// About as long as a claim holds its row locks.
const CLAIM_TIME: Duration = Duration::from_millis(4);

/// How often locked jobs are tried together.
const TRIES_TOGETHER: usize = 3;

/// What a completion does with a row that another transaction has locked.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum LockedRows {
    /// Waits for the lock.
    Wait,
    /// Leaves the row.
    Skip,
}

const FINISH_AT: &str = "SELECT queue.finish_at($1, $2, $3, $4)";

const FINISH_FREE: &str = "SELECT queue.finish_free($1, $2)";

const FINISH: &str = "SELECT woken_pools, locked FROM queue.finish($1, $2, $3)";

/// The ids and fences of jobs, and the lease under which they were claimed; `None` if there are no jobs.
fn parts(done: &[Completion]) -> Option<(Vec<JobId>, Vec<i64>, Arc<Lease>)> {
    let lease = done.first()?.job.claim.lease.clone();
    let (ids, fences) = done.iter().map(|Completion { job, .. }| (job.row.id, job.row.fence)).unzip();
    Some((ids, fences, lease))
}

/// Stores successes of jobs in no lane. The first try finds the rows at the locations where the claims wrote them,
/// later ones by id.
pub(crate) async fn finish_free(queue: Queue, mut done: Vec<Completion>) -> Vec<Completion> {
    done.sort_unstable_by_key(|completion| completion.job.row.id);
    let Some((ids, fences, lease)) = parts(&done) else { return done };
    let mut of_claims = fences.clone();
    of_claims.sort_unstable();
    of_claims.dedup();
    let mut tids: Option<Vec<Tid>> = done.iter().map(|completion| completion.job.row.tid).collect();
    let _permit = queue.batch_permit(done.len()).await;
    let finished: Option<PgQueryResult> = persist(&queue, &lease, "complete jobs", || {
        let finish = match tids.take() {
            Some(tids) => sqlx::query(FINISH_AT).bind(tids).bind(&ids).bind(&fences).bind(&of_claims),
            None => sqlx::query(FINISH_FREE).bind(&ids).bind(&fences),
        };
        queue.pool().run(async move |conn| finish.execute(conn).await)
    })
    .await;
    if finished.is_some() {
        done.iter().for_each(|completion| completion.job.mark_stored());
    }
    Vec::new()
}

/// Stores successes of jobs in lanes; returns those that it skipped. A job that is not there any more was completed by
/// its own transaction or by a try whose answer was lost, or belongs to another worker by now.
pub(crate) async fn finish_in_lanes(
    queue: &Queue,
    mut done: Vec<Completion>,
    locked: LockedRows,
) -> Vec<Completion> {
    let Some((ids, fences, lease)) = parts(&done) else { return done };
    let _permit = queue.batch_permit(done.len()).await;
    let answer: Option<(Vec<String>, Vec<JobId>)> = persist(queue, &lease, "complete jobs", || {
        let finish = sqlx::query_as(FINISH).bind(&ids).bind(&fences).bind(locked == LockedRows::Wait);
        queue.pool().run(async move |conn| finish.fetch_one(conn).await)
    })
    .await;
    let Some((woken_pools, mut skipped)) = answer else { return Vec::new() };
    for pool in &woken_pools {
        queue.notifier().wake_pool(pool);
    }
    skipped.sort_unstable();
    done.retain(|completion| {
        let is_skipped = skipped.binary_search(&completion.job.row.id).is_ok();
        if !is_skipped {
            completion.job.mark_stored();
        }
        is_skipped
    });
    done
}

/// Stores successes that were skipped because their rows were locked. A claim locks many rows for a moment, so first
/// all are tried together again. A lock that is held for longer is waited for, for each job by itself, so that the
/// other jobs do not wait.
pub(crate) async fn finish_locked(queue: Queue, mut skipped: Vec<Completion>, wait_permits: Arc<Semaphore>) {
    for _ in 0..TRIES_TOGETHER {
        if skipped.len() < 2 {
            break;
        }
        tokio::time::sleep(CLAIM_TIME).await;
        skipped = finish_in_lanes(&queue, skipped, LockedRows::Skip).await;
    }
    let each = skipped.into_iter().map(async |one| {
        // The semaphore is never closed.
        let _permit = wait_permits.acquire().await;
        finish_in_lanes(&queue, vec![one], LockedRows::Wait).await
    });
    futures::future::join_all(each).await;
}

/// Prepares and plans the completions on a new connection.
pub(crate) async fn prepare(connection: &mut PgConnection) -> sqlx::Result<()> {
    let none = Vec::<i64>::new();
    let no_tids = Vec::<Tid>::new();
    sqlx::query(FINISH_AT)
        .bind(no_tids)
        .bind(&none)
        .bind(&none)
        .bind(&none)
        .execute(&mut *connection)
        .await?;
    sqlx::query(FINISH_FREE).bind(&none).bind(&none).execute(&mut *connection).await?;
    sqlx::query(FINISH).bind(&none).bind(&none).bind(false).execute(connection).await?;
    Ok(())
}

/// Stores an outcome that is no success.
pub(crate) async fn settle(queue: Queue, completion: Completion, wait_permits: Arc<Semaphore>) {
    // The semaphore is never closed.
    let _permit = wait_permits.acquire().await;
    let Some(verdict) = completion.outcome.verdict() else { return };
    let (delay, error) = match &completion.outcome {
        AttemptOutcome::Failed { delay, error } => (*delay, Some(error)),
        AttemptOutcome::Snoozed(delay) => (*delay, None),
        AttemptOutcome::Aborted(reason) | AttemptOutcome::Cancelled(reason) => (Duration::ZERO, Some(reason)),
        AttemptOutcome::Done | AttemptOutcome::HandedBack => (Duration::ZERO, None),
    };
    let row = &completion.job.row;
    let held: Option<bool> = persist(&queue, &completion.job.claim.lease, "store an outcome", || {
        let settle = sqlx::query_scalar("SELECT queue.settle($1, $2, $3, $4, $5) IS NOT NULL")
            .bind(row.id)
            .bind(row.fence)
            .bind(verdict)
            .bind(delay.as_secs_f64())
            .bind(error);
        queue.pool().run(async move |conn| settle.fetch_one(conn).await)
    })
    .await;
    if held == Some(true) {
        completion.job.mark_stored();
        // The job may be due again, its lane may go on, or it may have a follow-up. The next poll finds in which pools.
        queue.notifier().wake_pollers();
    } else {
        // This process may have claimed the job again, so the job stays in doubt.
        tracing::debug!(job.id = row.id.0, "The claim of job {} no longer held", row.id);
    }
}

/// Tries a statement until it succeeds; `None` once the lease is lost, since then no outcome of this worker counts.
async fn persist<T, F>(
    queue: &Queue,
    lease: &Lease,
    deed: &str,
    mut statement: impl FnMut() -> F,
) -> Option<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    let mut pause = Duration::from_millis(20);
    loop {
        let error = match tokio::time::timeout(queue.settings().statement_timeout, statement()).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the database does not answer".to_owned(),
        };
        if lease.is_lost() {
            return None;
        }
        tracing::warn!(error, "Could not {deed}; trying again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = lease.lost() => return None,
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
