//! Writes verdicts: successes in batches, everything else one by one beside them. Nothing that finished is forgotten: a verdict is
//! tried again until the database has taken it or the lease is lost.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::Queue;
use crate::job::JobId;
use crate::worker::claimed::{ClaimedJob, Hold, Known};
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
    pub(crate) job_id: JobId,
    pub(crate) fence: i64,
    pub(crate) in_lane: bool,
    pub(crate) verdict: Verdict,
    incarnation: Arc<Incarnation>,
    _known: Arc<Known>,
    /// A suspect counts as running until its end is stored.
    _hold: Option<Arc<Hold>>,
}

impl Completion {
    pub(crate) fn of(job: &ClaimedJob, verdict: Verdict) -> Self {
        Self {
            job_id: job.row.id,
            fence: job.row.fence,
            in_lane: job.row.lane.is_some(),
            verdict,
            incarnation: job.incarnation.clone(),
            _known: job.known.clone(),
            _hold: (job.row.suspicion > 0).then(|| job.hold.clone()),
        }
    }

    /// The same with the verdict that came out.
    pub(crate) fn with(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
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
    let mut free = Line::new(true);
    let mut in_lanes = Line::new(false);
    let mut beside = JoinSet::new();
    let mut received = Vec::with_capacity(batch);
    let mut open = true;
    while open || free.is_busy() || in_lanes.is_busy() {
        tokio::select! {
            number = receiver.recv_many(&mut received, batch), if open => open = number > 0,
            _ = free.written() => {}
            locked = in_lanes.written() => {
                for completion in locked {
                    let queue = queue.clone();
                    beside.spawn(async move {
                        finish(&queue, vec![completion], true).await;
                    });
                }
            }
        }
        for completion in received.drain(..) {
            match (&completion.verdict, completion.in_lane) {
                (Verdict::Done, false) => free.waiting.push(completion),
                (Verdict::Done, true) => in_lanes.waiting.push(completion),
                _ => drop(beside.spawn(settle(queue.clone(), completion))),
            }
        }
        free.write(&queue, batch);
        in_lanes.write(&queue, batch);
        while beside.try_join_next().is_some() {}
    }
    while beside.join_next().await.is_some() {}
}

/// Batches of one sort that may be on their way to the database at a time; their order means nothing, since each job has its fence.
const WRITERS: usize = 2;

/// Successes of one sort, waiting or being written.
struct Line {
    waiting: Vec<Completion>,
    writers: JoinSet<Vec<Completion>>,
    patient: bool,
}

impl Line {
    fn new(patient: bool) -> Self {
        Self { waiting: Vec::new(), writers: JoinSet::new(), patient }
    }

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
    fn write(&mut self, queue: &Queue, batch: usize) {
        while !self.waiting.is_empty()
            && (self.writers.is_empty() || (self.writers.len() < WRITERS && self.waiting.len() >= batch))
        {
            let rest = self.waiting.split_off(self.waiting.len().min(batch));
            let done = std::mem::replace(&mut self.waiting, rest);
            let (queue, patient) = (queue.clone(), self.patient);
            self.writers.spawn(async move { finish(&queue, done, patient).await });
        }
    }
}

/// Ends jobs that succeeded; returns those that were not there to be ended. After a patient try they have been completed by their
/// own transaction, or by the try whose answer was lost, or belong to another worker by now.
async fn finish(queue: &Queue, mut done: Vec<Completion>, patient: bool) -> Vec<Completion> {
    if done.is_empty() {
        return done;
    }
    let (ids, fences): (Vec<JobId>, Vec<i64>) =
        done.iter().map(|completion| (completion.job_id, completion.fence)).unzip();
    let incarnation = done[0].incarnation.clone();
    let answer: Option<(Vec<JobId>, Vec<String>)> = persist(queue, &incarnation, "complete jobs", || {
        sqlx::query_as("SELECT ended, woken_pools FROM queue.finish($1, $2, $3)")
            .bind(&ids)
            .bind(&fences)
            .bind(patient)
            .fetch_one(queue.pg())
    })
    .await;
    let Some((mut ended, woken_pools)) = answer else { return Vec::new() };
    for pool in &woken_pools {
        queue.bell().ring(pool);
    }
    ended.sort_unstable();
    done.retain(|completion| ended.binary_search(&completion.job_id).is_err());
    done
}

/// Stores a verdict that is no plain success.
async fn settle(queue: Queue, completion: Completion) {
    let (verdict, delay, error) = match &completion.verdict {
        Verdict::Done => return,
        Verdict::Failed { delay, error } => ("failed", *delay, Some(error)),
        Verdict::Aborted(reason) => ("aborted", Duration::ZERO, Some(reason)),
        Verdict::Snoozed(delay) => ("snoozed", *delay, None),
        Verdict::HandedBack => ("handed_back", Duration::ZERO, None),
        Verdict::Cancelled(reason) => ("cancelled", Duration::ZERO, Some(reason)),
    };
    let became: Option<Option<String>> = persist(&queue, &completion.incarnation, "store a verdict", || {
        sqlx::query_scalar("SELECT queue.settle($1, $2, $3, $4, $5)")
            .bind(completion.job_id)
            .bind(completion.fence)
            .bind(verdict)
            .bind(delay.as_secs_f64())
            .bind(error)
            .fetch_one(queue.pg())
    })
    .await;
    match became.flatten() {
        // Due later or at once, its lane goes on, or it has a follow-up: in which pools, the next look tells.
        Some(_) => queue.bell().ring_later(),
        None => tracing::debug!(
            job.id = completion.job_id,
            "The claim of job {} no longer held",
            completion.job_id
        ),
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
