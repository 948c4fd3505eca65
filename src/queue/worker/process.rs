//! This process as a worker: its row, and the lease that all its claims stand on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::types::Json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Queue;
use crate::job::JobId;
use crate::worker::claimed::{AttemptState, JobClaim};
use crate::worker::lease::Lease;
use crate::worker::pool::PoolState;
use crate::worker::suspects::Suspects;

/// The registration of this process as a worker. After a lost lease the process registers again under a new id, and its
/// claims under the former one are void.
pub(crate) struct WorkerProcess {
    pub(crate) queue: Queue,
    pub(crate) suspects: Arc<Suspects>,
    /// Host and process id, for people.
    name: String,
    abilities: Abilities,
    lease_state: Mutex<LeaseState>,
    /// The jobs that this process owns, by number and fence.
    jobs: Mutex<HashMap<(JobId, i64), Arc<AttemptState>>>,
    /// Claims made so far.
    claims_made: AtomicI64,
    /// Claims and completions whose outcome is unknown here because the answer was lost or is still awaited.
    in_doubt: AtomicUsize,
    /// A connection was lost, so the server may have crashed and lost commits.
    lost_connection: Notify,
}

/// What a process can do, as its row says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abilities {
    /// The program's version, for people.
    pub(crate) version: Option<&'static str>,
    /// The kinds that it can run. Jobs of other kinds are parked for other processes.
    pub(crate) kinds: Vec<&'static str>,
    /// The pools that it serves, each with how many of its jobs run at a time.
    pub(crate) pools: BTreeMap<String, usize>,
}

struct LeaseState {
    lease: Option<Arc<Lease>>,
    renewed_at: Instant,
}

impl WorkerProcess {
    pub(crate) fn new(queue: Queue, name: String, abilities: Abilities) -> Arc<Self> {
        let suspects = Suspects::new(queue.settings().suspect_stagger);
        let lease_state = LeaseState { lease: None, renewed_at: Instant::now() };
        Arc::new(Self {
            queue,
            suspects,
            name,
            abilities,
            lease_state: Mutex::new(lease_state),
            jobs: Mutex::default(),
            claims_made: AtomicI64::new(0),
            in_doubt: AtomicUsize::new(0),
            lost_connection: Notify::new(),
        })
    }

    /// The present lease; `None` while there is none.
    pub(crate) fn lease(&self) -> Option<Arc<Lease>> {
        lock(&self.lease_state).lease.clone()
    }

    /// How long ago the lease was last renewed.
    pub(crate) fn silent_for(&self) -> Duration {
        lock(&self.lease_state).renewed_at.elapsed()
    }

    /// A claim for a pool, in doubt until it is answered; `None` while there is no lease.
    pub(crate) fn job_claim(self: &Arc<Self>, pool: &Arc<PoolState>) -> Option<Arc<JobClaim>> {
        let lease = self.lease()?;
        let number = self.claims_made.fetch_add(1, Ordering::SeqCst) + 1;
        self.add_in_doubt();
        Some(Arc::new(JobClaim { process: self.clone(), pool: pool.clone(), lease, number }))
    }

    /// Adds jobs that were claimed.
    pub(crate) fn add_jobs<'a>(&self, claimed: impl Iterator<Item = &'a Arc<AttemptState>>) {
        lock(&self.jobs).extend(claimed.map(|job| (job.row.claim(), job.clone())));
    }

    /// Removes a job of this claim.
    pub(crate) fn remove_job(&self, claim: (JobId, i64)) {
        let removed = lock(&self.jobs).remove(&claim);
        drop(removed);
    }

    /// From now on the database may attribute jobs to this process that it does not know.
    pub(crate) fn add_in_doubt(&self) {
        self.in_doubt.fetch_add(1, Ordering::SeqCst);
    }

    /// The outcome of one claim in doubt has become known.
    pub(crate) fn remove_in_doubt(&self) {
        self.in_doubt.fetch_sub(1, Ordering::SeqCst);
    }

    /// Notes that the database went away, or that a standby has taken over.
    pub(crate) fn note_lost_connection(&self) {
        self.lost_connection.notify_one();
    }

    /// Resolves once for any number of lost connections.
    pub(crate) async fn connection_lost(&self) {
        self.lost_connection.notified().await;
    }

    /// The jobs that this process owns, and their fences.
    pub(crate) fn claims(&self) -> (Vec<JobId>, Vec<i64>) {
        lock(&self.jobs).keys().copied().unzip()
    }

    /// Cancels those of these jobs that this process owns.
    pub(crate) fn request_cancels(&self, ids: &HashSet<JobId>) {
        if ids.is_empty() {
            return;
        }
        for ((id, _), job) in lock(&self.jobs).iter() {
            if ids.contains(id) {
                job.stop.cancel();
            }
        }
    }

    /// Registers, renews the lease, and registers again after a loss, until `stop`. Slow handlers cannot delay it.
    pub(crate) async fn keep_lease(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.lease() {
                None => self.register().await,
                Some(lease) => self.renew(&lease).await,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Takes a new lease; returns the pause before the next step.
    pub(crate) async fn register(&self) -> Duration {
        let settings = self.queue.settings();
        let asked_at = Instant::now();
        let Abilities { version, kinds, pools } = &self.abilities;
        let joined = sqlx::query_scalar(
            "INSERT INTO queue.workers (name, lease_until, kinds, version, pools) VALUES ($1, now() + make_interval(secs => $2), $3, $4, $5) RETURNING id",
        )
        .bind(&self.name)
        .bind(settings.lease.as_secs_f64())
        .bind(kinds)
        .bind(version)
        .bind(Json(pools));
        let joined = self.queue.pool().run(async |conn| joined.fetch_one(conn).await);
        match tokio::time::timeout(settings.statement_timeout, joined).await {
            Ok(Ok(worker_id)) => {
                self.queue.pool().note_commit();
                let lease = Lease::new(worker_id);
                *lock(&self.lease_state) = LeaseState { lease: Some(Arc::new(lease)), renewed_at: asked_at };
                tracing::debug!(worker.id = worker_id, "Joined the queue as worker {worker_id}");
                self.queue.notifier().wake_all_here();
                settings.renew
            }
            Ok(Err(error)) => self.warn("join the queue", &error),
            Err(_) => self.warn("join the queue", &"the database does not answer"),
        }
    }

    /// Renews the lease. The name is compared, since a database that lost this worker's row may have given its id to
    /// another process.
    async fn renew(&self, lease: &Arc<Lease>) -> Duration {
        let settings = self.queue.settings();
        let asked_at = Instant::now();
        let renewed =
            sqlx::query("UPDATE queue.workers SET lease_until = now() + make_interval(secs => $2), renewed_at = now() WHERE id = $1 AND name = $3 AND lease_until > now()")
                .bind(lease.worker_id)
                .bind(settings.lease.as_secs_f64())
                .bind(&self.name);
        let renewed = self.queue.pool().run(async |conn| renewed.execute(conn).await);
        let pause =
            match tokio::time::timeout(settings.statement_timeout.min(settings.lease / 3), renewed).await {
                Ok(Ok(done)) if done.rows_affected() == 1 => {
                    self.queue.pool().note_commit();
                    lock(&self.lease_state).renewed_at = asked_at;
                    return settings.renew;
                }
                Ok(Ok(_)) => {
                    self.lose_lease(lease, "it had run out");
                    return Duration::ZERO;
                }
                Ok(Err(error)) => self.warn("renew the lease", &error),
                Err(_) => self.warn("renew the lease", &"the database does not answer"),
            };
        // By this process's own clock the lease has run out, whatever the database says later.
        if self.silent_for() >= settings.lease {
            self.lose_lease(lease, "the database was away for longer than the lease");
        }
        pause
    }

    pub(crate) fn lose_lease(&self, lease: &Arc<Lease>, why: &str) {
        tracing::warn!(worker.id = lease.worker_id, "Lost the lease of worker {}: {why}", lease.worker_id);
        lock(&self.lease_state).lease = None;
        self.stop_jobs(lease);
        self.note_lost_connection();
    }

    /// Ends the lease and stops its jobs. A job that is added after this is stopped at its first look at the lease.
    fn stop_jobs(&self, lease: &Lease) {
        lease.lose();
        lock(&self.jobs).values().for_each(|job| job.stop.wake());
    }

    fn warn(&self, deed: &str, error: &dyn std::fmt::Display) -> Duration {
        tracing::warn!(error = %error, "Could not {deed}; trying again");
        (self.queue.settings().renew / 4).min(Duration::from_secs(1))
    }

    /// Ends the registration and hands all jobs back; returns their number. If a claim is in doubt, the database
    /// searches for the jobs.
    pub(crate) async fn deregister(&self) -> sqlx::Result<i32> {
        let Some(lease) = lock(&self.lease_state).lease.take() else { return Ok(0) };
        let (known, _) = self.claims();
        let known = (self.in_doubt.load(Ordering::SeqCst) == 0).then_some(known);
        self.stop_jobs(&lease);
        let leave = sqlx::query_scalar("SELECT queue.leave($1, $2)").bind(lease.worker_id).bind(known);
        self.queue.pool().run(async |conn| leave.fetch_one(conn).await).await
    }
}

#[cfg(test)]
impl WorkerProcess {
    /// A process that has registered, and knows no kinds.
    pub(crate) fn with_lease(queue: Queue, lease: Lease) -> Arc<Self> {
        let process = Self::new(queue, "this".into(), Abilities::default());
        lock(&process.lease_state).lease = Some(Arc::new(lease));
        process
    }
}

/// A poisoned lock is usable: the guarded value is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::settings::QueueSettings;
    use crate::worker::claimed::{ClaimedJob, ClaimedRow};

    fn process() -> (Arc<WorkerProcess>, Arc<PoolState>) {
        let pg = PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap();
        let queue = Queue::open(pg, QueueSettings::default());
        let process = WorkerProcess::with_lease(queue, Lease::new(1));
        (process, Arc::new(PoolState::new("test".into(), 9, Duration::from_secs(9))))
    }

    fn in_doubt(process: &WorkerProcess) -> usize {
        process.in_doubt.load(Ordering::SeqCst)
    }

    fn claimed(process: &Arc<WorkerProcess>, pool: &Arc<PoolState>) -> ClaimedJob {
        let request = process.job_claim(pool).unwrap();
        process.remove_in_doubt();
        ClaimedJob::new(ClaimedRow::plain(7, 1), &request, None)
    }

    #[tokio::test]
    async fn a_claim_without_an_answer_is_in_doubt() {
        let (process, pool) = process();

        let request = process.job_claim(&pool);

        assert_eq!((request.is_some(), in_doubt(&process)), (true, 1));
        drop(request);
        assert_eq!(in_doubt(&process), 1);
    }

    #[tokio::test]
    async fn a_job_that_is_dropped_without_a_stored_outcome_is_in_doubt_and_any_other_one_is_not() {
        let (process, pool) = process();
        let (stored, lost) = (claimed(&process, &pool), claimed(&process, &pool));
        stored.owned.mark_stored();

        drop(stored);
        assert_eq!(in_doubt(&process), 0);
        drop(lost);
        assert_eq!((in_doubt(&process), process.claims().0.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_claim_that_ends_leaves_a_newer_claim_of_the_same_job_known() {
        let (process, pool) = process();
        let claim = process.job_claim(&pool).unwrap();
        let former = ClaimedJob::new(ClaimedRow::plain(7, 1), &claim, None);
        let newer = ClaimedJob::new(ClaimedRow::plain(7, 2), &claim, None);

        drop(former);

        assert_eq!(process.claims(), (vec![JobId(7)], vec![2]));
        process.request_cancels(&[JobId(7)].into());
        assert!(newer.owned.stop.is_cancelled());
    }
}
