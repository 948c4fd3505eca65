//! The task that stores outcomes: successes in batches, all others one by one beside them.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::Queue;
use crate::worker::outcome::{AttemptOutcome, Completion};
use crate::worker::outcome_store::{LockedRows, finish_free, finish_in_lanes, finish_locked, settle};

/// The sending end; clones send to the same task.
#[derive(Clone)]
pub(crate) struct Completer(UnboundedSender<Completion>);

impl Completer {
    /// Starts the task. It ends when the last sender is gone and everything is stored.
    pub(crate) fn start(queue: Queue) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), tokio::spawn(store(queue, receiver)))
    }

    pub(crate) fn send(&self, completion: Completion) {
        // The task outlives every sender, unless the runtime is shutting down.
        let _ = self.0.send(completion);
    }
}

async fn store(queue: Queue, mut receiver: UnboundedReceiver<Completion>) {
    let batch = queue.settings().batch;
    let mut free = CompletionLine::default();
    let mut in_lanes = CompletionLine::default();
    let mut singles = JoinSet::new();
    let wait_permits = Arc::new(Semaphore::new(queue.pool().size().saturating_sub(NEVER_WAITING).max(1)));
    let mut received = Vec::with_capacity(batch);
    let mut open = true;
    while open || free.is_busy() || in_lanes.is_busy() {
        tokio::select! {
            number = receiver.recv_many(&mut received, batch), if open => open = number > 0,
            _ = free.written() => {}
            skipped = in_lanes.written() => {
                if !skipped.is_empty() {
                    singles.spawn(finish_locked(queue.clone(), skipped, wait_permits.clone()));
                }
            }
        }
        for completion in received.drain(..) {
            match (&completion.outcome, completion.job.row.lane.is_some()) {
                (AttemptOutcome::Done, false) => free.waiting.push(completion),
                (AttemptOutcome::Done, true) => in_lanes.waiting.push(completion),
                _ => drop(singles.spawn(settle(queue.clone(), completion, wait_permits.clone()))),
            }
        }
        free.write(batch, |done| finish_free(queue.clone(), done));
        in_lanes.write(batch, |done| {
            let queue = queue.clone();
            async move { finish_in_lanes(&queue, done, LockedRows::Skip).await }
        });
        while singles.try_join_next().is_some() {}
    }
    while singles.join_next().await.is_some() {}
}

/// Batches of one sort that may be under way at a time. Their order does not matter, since each job has its fence.
const WRITERS: usize = 2;

/// Connections that must not wait for locked rows: the poller's, those of the writers of jobs in no lane, and one for
/// renewing the lease.
const NEVER_WAITING: usize = WRITERS + 2;

/// Successes of one sort (in lanes or not), waiting or being stored.
#[derive(Default)]
struct CompletionLine {
    waiting: Vec<Completion>,
    writers: JoinSet<Vec<Completion>>,
}

impl CompletionLine {
    fn is_busy(&self) -> bool {
        !self.writers.is_empty()
    }

    /// Waits for a writer to end; returns what it skipped. Never resolves while there is no writer.
    async fn written(&mut self) -> Vec<Completion> {
        match self.writers.join_next().await {
            Some(left) => left.unwrap_or_default(),
            None => std::future::pending().await,
        }
    }

    /// Starts a writer if there is none. Beside another writer only full batches are written, since many small ones
    /// would slow it down.
    fn write<F>(&mut self, batch: usize, finish: impl Fn(Vec<Completion>) -> F)
    where
        F: Future<Output = Vec<Completion>> + Send + 'static,
    {
        while !self.waiting.is_empty()
            && (self.writers.is_empty() || (self.writers.len() < WRITERS && self.waiting.len() >= batch))
        {
            // A batch holds claims of one lease: when that lease is lost, the batch is dropped.
            let lease = self.waiting[0].job.claim.lease.clone();
            let number = self
                .waiting
                .iter()
                .take(batch)
                .take_while(|next| Arc::ptr_eq(&next.job.claim.lease, &lease))
                .count();
            let rest = self.waiting.split_off(number);
            let done = std::mem::replace(&mut self.waiting, rest);
            self.writers.spawn(finish(done));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::settings::QueueSettings;
    use crate::worker::claimed::{ClaimedJob, ClaimedRow, JobClaim};
    use crate::worker::lease::Lease;
    use crate::worker::pool::PoolState;
    use crate::worker::process::{Abilities, WorkerProcess};

    fn done(id: i64, lease: &Arc<Lease>) -> Completion {
        let pg = PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap();
        let request = Arc::new(JobClaim {
            process: WorkerProcess::new(
                Queue::open(pg, QueueSettings::default()),
                "this".into(),
                Abilities::default(),
            ),
            pool: Arc::new(PoolState::new("test".into(), 9, Duration::from_secs(9))),
            lease: lease.clone(),
            number: 1,
        });
        Completion::of(ClaimedJob::new(ClaimedRow::plain(id, id), &request, None), AttemptOutcome::Done)
    }

    #[tokio::test]
    async fn completions_of_two_leases_share_no_batch() {
        let lease = |worker_id| Arc::new(Lease::new(worker_id));
        let (old, new) = (lease(1), lease(2));
        let waiting = vec![done(1, &old), done(2, &old), done(3, &new)];
        let mut line = CompletionLine { waiting, ..CompletionLine::default() };

        let mut batches = Vec::new();
        while !line.waiting.is_empty() {
            line.write(10, std::future::ready);
            batches.push(line.written().await.iter().map(|one| one.job.row.id.0).collect::<Vec<_>>());
        }

        assert_eq!(batches, [vec![1, 2], vec![3]]);
    }
}
