//! Writes verdicts: successes in batches, everything else one by one beside them. Nothing that finished is forgotten: a verdict is
//! tried again until the database has taken it or the lease is lost.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgQueryResult;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::Queue;
use crate::job::JobId;
use crate::worker::claimed::{ClaimedJob, Hold, Known};
use crate::worker::place::Place;
use crate::worker::session::Incarnation;

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    Done,
    Failed { delay: Duration, error: String },
    Aborted(String),
    Snoozed(Duration),
    HandedBack,
    Cancelled(String),
}

/// A verdict on its way to the database.
pub(crate) struct Completion {
    job: Arc<Known>,
    verdict: Verdict,
    /// A suspect counts as running until its end is stored.
    _hold: Option<Arc<Hold>>,
}

impl Completion {
    pub(crate) fn of(job: ClaimedJob, verdict: Verdict) -> Self {
        let ClaimedJob { known, hold } = job;
        let hold = (known.row.suspicion > 0).then_some(hold);
        Self { job: known, verdict, _hold: hold }
    }
}

/// The sending end; clones send to the same task.
#[derive(Clone)]
pub(crate) struct Completer(UnboundedSender<Completion>);

impl Completer {
    /// Starts the task that writes. It ends, with everything written, when the last sender is gone.
    pub(crate) fn start(queue: Queue) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), tokio::spawn(write(queue, receiver)))
    }

    pub(crate) fn send(&self, completion: Completion) {
        // The task outlives every sender, so there is always a receiver, unless the runtime itself is going down.
        let _ = self.0.send(completion);
    }
}

async fn write(queue: Queue, mut receiver: UnboundedReceiver<Completion>) {
    let batch = queue.settings().batch;
    let mut free = Line::default();
    let mut in_lanes = Line::default();
    let mut beside = JoinSet::new();
    let patience =
        Arc::new(Semaphore::new(queue.kept().connections().saturating_sub(NOT_FOR_WAITING).max(1)));
    let mut received = Vec::with_capacity(batch);
    let mut open = true;
    while open || free.is_busy() || in_lanes.is_busy() {
        tokio::select! {
            number = receiver.recv_many(&mut received, batch), if open => open = number > 0,
            _ = free.written() => {}
            passed = in_lanes.written() => {
                if !passed.is_empty() {
                    beside.spawn(finish_locked(queue.clone(), passed, patience.clone()));
                }
            }
        }
        for completion in received.drain(..) {
            match (&completion.verdict, completion.job.row.lane.is_some()) {
                (Verdict::Done, false) => free.waiting.push(completion),
                (Verdict::Done, true) => in_lanes.waiting.push(completion),
                _ => drop(beside.spawn(settle(queue.clone(), completion, patience.clone()))),
            }
        }
        free.write(batch, |done| finish_free(queue.clone(), done));
        in_lanes.write(batch, |done| {
            let queue = queue.clone();
            async move { finish_in_lanes(&queue, done, Locked::Passed).await }
        });
        while beside.try_join_next().is_some() {}
    }
    while beside.join_next().await.is_some() {}
}

/// About as long as a claim holds what it meets.
const CLAIM_TIME: Duration = Duration::from_millis(4);

/// How often jobs that are locked are tried together.
const TRIES_TOGETHER: usize = 3;

/// Batches of one sort that may be on their way to the database at a time; their order means nothing, since each job has its fence.
const WRITERS: usize = 2;

/// Connections that are left when jobs are waited for which somebody holds: the poller's, those of writers who meet such jobs in no lane, and one
/// on which the lease is renewed.
const NOT_FOR_WAITING: usize = WRITERS + 2;

/// Successes of one sort, waiting or being written.
#[derive(Default)]
struct Line {
    waiting: Vec<Completion>,
    writers: JoinSet<Vec<Completion>>,
}

impl Line {
    fn is_busy(&self) -> bool {
        !self.writers.is_empty()
    }

    /// What a writer that ends could not write; waits for ever while none writes.
    async fn written(&mut self) -> Vec<Completion> {
        match self.writers.join_next().await {
            Some(left) => left.unwrap_or_default(),
            None => std::future::pending().await,
        }
    }

    /// Writes at once when nobody writes; beside another writer only full batches, or many small ones would take its time.
    fn write<F>(&mut self, batch: usize, finish: impl Fn(Vec<Completion>) -> F)
    where
        F: Future<Output = Vec<Completion>> + Send + 'static,
    {
        while !self.waiting.is_empty()
            && (self.writers.is_empty() || (self.writers.len() < WRITERS && self.waiting.len() >= batch))
        {
            // What was claimed under one lease is not given up because another one is lost.
            let lease = self.waiting[0].job.incarnation.clone();
            let number = self
                .waiting
                .iter()
                .take(batch)
                .take_while(|next| Arc::ptr_eq(&next.job.incarnation, &lease))
                .count();
            let rest = self.waiting.split_off(number);
            let done = std::mem::replace(&mut self.waiting, rest);
            self.writers.spawn(finish(done));
        }
    }
}

/// The numbers and fences of jobs that end, and the lease that they were claimed under; `None` if there are none.
fn parts(done: &[Completion]) -> Option<(Vec<JobId>, Vec<i64>, Arc<Incarnation>)> {
    let incarnation = done.first()?.job.incarnation.clone();
    let (ids, fences) = done.iter().map(|Completion { job, .. }| (job.row.id, job.row.fence)).unzip();
    Some((ids, fences, incarnation))
}

/// Ends jobs that succeeded and stand in no lane. They are looked for where their claims have left them, and if that fails by their numbers.
async fn finish_free(queue: Queue, mut done: Vec<Completion>) -> Vec<Completion> {
    done.sort_unstable_by_key(|completion| completion.job.row.id);
    let Some((ids, fences, incarnation)) = parts(&done) else { return done };
    let mut of_claims = fences.clone();
    of_claims.sort_unstable();
    of_claims.dedup();
    let mut places: Option<Vec<Place>> = done.iter().map(|completion| completion.job.row.place).collect();
    let _turn = queue.turn(done.len()).await;
    let finished: Option<PgQueryResult> = persist(&queue, &incarnation, "complete jobs", || {
        let finish = match places.take() {
            Some(places) => sqlx::query(FINISH_AT).bind(places).bind(&ids).bind(&fences).bind(&of_claims),
            None => sqlx::query(FINISH_FREE).bind(&ids).bind(&fences),
        };
        queue.kept().ask(async move |conn| finish.execute(conn).await)
    })
    .await;
    if finished.is_some() {
        done.iter().for_each(|completion| completion.job.conclude());
    }
    Vec::new()
}

/// What a completion does where somebody else has locked a job.
#[derive(Clone, Copy, PartialEq)]
enum Locked {
    /// Waits for it.
    Awaited,
    /// Leaves it.
    Passed,
}

/// Ends jobs of lanes that succeeded; returns those that it passed. One that is not there any more has been completed by its own transaction, or
/// by a try whose answer was lost, or belongs to another worker by now.
async fn finish_in_lanes(queue: &Queue, mut done: Vec<Completion>, locked: Locked) -> Vec<Completion> {
    let Some((ids, fences, incarnation)) = parts(&done) else { return done };
    let _turn = queue.turn(done.len()).await;
    let answer: Option<(Vec<String>, Vec<JobId>)> = persist(queue, &incarnation, "complete jobs", || {
        let finish = sqlx::query_as(FINISH).bind(&ids).bind(&fences).bind(locked == Locked::Awaited);
        queue.kept().ask(async move |conn| finish.fetch_one(conn).await)
    })
    .await;
    let Some((woken_pools, mut passed)) = answer else { return Vec::new() };
    for pool in &woken_pools {
        queue.bell().ring(pool);
    }
    passed.sort_unstable();
    done.retain(|completion| {
        let is_passed = passed.binary_search(&completion.job.row.id).is_ok();
        if !is_passed {
            completion.job.conclude();
        }
        is_passed
    });
    done
}

/// Ends jobs that a completion has passed. A claim that met them while they were taken holds many, and not for long: then they still go
/// together. Whoever holds a few for longer is waited for, for each job by itself, so that the others do not wait too.
async fn finish_locked(queue: Queue, mut passed: Vec<Completion>, patience: Arc<Semaphore>) {
    for _ in 0..TRIES_TOGETHER {
        if passed.len() < 2 {
            break;
        }
        tokio::time::sleep(CLAIM_TIME).await;
        passed = finish_in_lanes(&queue, passed, Locked::Passed).await;
    }
    let each = passed.into_iter().map(async |one| {
        // The semaphore is never closed.
        let _permit = patience.acquire().await;
        finish_in_lanes(&queue, vec![one], Locked::Awaited).await
    });
    futures::future::join_all(each).await;
}

const FINISH_AT: &str = "SELECT queue.finish_at($1, $2, $3, $4)";

const FINISH_FREE: &str = "SELECT queue.finish_free($1, $2)";

const FINISH: &str = "SELECT woken_pools, locked FROM queue.finish($1, $2, $3)";

/// Has a new connection plan its completions before there is one.
pub(crate) async fn make_ready(connection: &mut PgConnection) -> sqlx::Result<()> {
    let none = Vec::<i64>::new();
    let nowhere = Vec::<Place>::new();
    sqlx::query(FINISH_AT)
        .bind(nowhere)
        .bind(&none)
        .bind(&none)
        .bind(&none)
        .execute(&mut *connection)
        .await?;
    sqlx::query(FINISH_FREE).bind(&none).bind(&none).execute(&mut *connection).await?;
    sqlx::query(FINISH).bind(&none).bind(&none).bind(false).execute(connection).await?;
    Ok(())
}

/// Stores a verdict that is no plain success.
async fn settle(queue: Queue, completion: Completion, patience: Arc<Semaphore>) {
    // The semaphore is never closed.
    let _permit = patience.acquire().await;
    let (verdict, delay, error) = match &completion.verdict {
        Verdict::Done => return,
        Verdict::Failed { delay, error } => ("failed", *delay, Some(error)),
        Verdict::Aborted(reason) => ("aborted", Duration::ZERO, Some(reason)),
        Verdict::Snoozed(delay) => ("snoozed", *delay, None),
        Verdict::HandedBack => ("handed_back", Duration::ZERO, None),
        Verdict::Cancelled(reason) => ("cancelled", Duration::ZERO, Some(reason)),
    };
    let row = &completion.job.row;
    let became: Option<Option<String>> =
        persist(&queue, &completion.job.incarnation, "store a verdict", || {
            let settle = sqlx::query_scalar("SELECT queue.settle($1, $2, $3, $4, $5)")
                .bind(row.id)
                .bind(row.fence)
                .bind(verdict)
                .bind(delay.as_secs_f64())
                .bind(error);
            queue.kept().ask(async move |conn| settle.fetch_one(conn).await)
        })
        .await;
    let became = became.flatten();
    // A claim that no longer holds may have been followed by another one of this process, so it leaves a doubt.
    if became.is_some() {
        completion.job.conclude();
    }
    match became {
        // Due later or at once, its lane goes on, or it has a follow-up: in which pools, the next look tells.
        Some(_) => queue.bell().ring_later(),
        None => tracing::debug!(job.id = row.id, "The claim of job {} no longer held", row.id),
    }
}

/// Tries a statement until it succeeds; `None` once the lease is lost, when nothing of this worker counts any more.
async fn persist<T, F>(
    queue: &Queue,
    incarnation: &Incarnation,
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
        if incarnation.lost.is_cancelled() {
            return None;
        }
        tracing::warn!(error, "Could not {deed}; trying again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = incarnation.lost.cancelled() => return None,
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use sqlx::postgres::PgPoolOptions;
    use sqlx::types::Json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::settings::Settings;
    use crate::worker::claimed::{Call, ClaimedRow};
    use crate::worker::pool::PoolState;
    use crate::worker::session::Session;

    fn done(id: JobId, incarnation: &Arc<Incarnation>) -> Completion {
        let pg = PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap();
        let call = Call {
            session: Session::new(Queue::open(pg, Settings::default()), "this".into(), Vec::new()),
            pool: Arc::new(PoolState::new("test".into(), 9, Duration::from_secs(9))),
            incarnation: incarnation.clone(),
            number: 1,
        };
        let row = ClaimedRow {
            id,
            fence: id,
            kind: "act".into(),
            lane: None,
            attempt: 0,
            max_attempts: 1,
            crashes: 0,
            suspicion: 0,
            traceparent: None,
            payload: Json(RawValue::NULL.to_owned()),
            place: None,
        };
        Completion::of(ClaimedJob::new(row, &call, None), Verdict::Done)
    }

    #[tokio::test]
    async fn completions_of_two_leases_share_no_batch() {
        let lease = |worker_id| Arc::new(Incarnation { worker_id, lost: CancellationToken::new() });
        let (old, new) = (lease(1), lease(2));
        let waiting = vec![done(1, &old), done(2, &old), done(3, &new)];
        let mut line = Line { waiting, ..Line::default() };

        let mut batches = Vec::new();
        while !line.waiting.is_empty() {
            line.write(10, std::future::ready);
            batches.push(line.written().await.iter().map(|one| one.job.row.id).collect::<Vec<_>>());
        }

        assert_eq!(batches, [vec![1, 2], vec![3]]);
    }
}
