//! This process as a worker: its row, and the lease that all its claims stand on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Queue;
use crate::job::JobId;
use crate::worker::claimed::Call;
use crate::worker::pool::PoolState;
use crate::worker::suspects::Suspects;

/// The process's presence in the database. When its lease is lost it comes back under a new id; what it ran before is lost.
pub(crate) struct Session {
    pub(crate) queue: Queue,
    pub(crate) suspects: Arc<Suspects>,
    /// What people see: host and process id.
    name: String,
    /// What this process can run; anything else is parked for others.
    kinds: Vec<&'static str>,
    present: Mutex<Present>,
    /// The jobs that this process has, each with its fence and how it is asked to stop.
    known: Mutex<HashMap<JobId, (i64, CancellationToken)>>,
    /// Claims made so far.
    calls: AtomicI64,
    /// What the database may have given to this process or still count as its own, and what is not known here.
    doubts: AtomicUsize,
    /// A connection was lost: commits may be forgotten.
    lost_connection: Notify,
}

struct Present {
    incarnation: Option<Arc<Incarnation>>,
    renewed_at: Instant,
}

/// One lease, from its registration to its loss or the stop.
pub(crate) struct Incarnation {
    pub(crate) worker_id: i64,
    /// Cancelled when the lease is lost: handlers stop, their verdicts count no more.
    pub(crate) lost: CancellationToken,
}

impl Session {
    pub(crate) fn new(queue: Queue, name: String, kinds: Vec<&'static str>) -> Arc<Self> {
        let suspects = Suspects::new(queue.settings().suspect_stagger);
        let present = Present { incarnation: None, renewed_at: Instant::now() };
        Arc::new(Self {
            queue,
            suspects,
            name,
            kinds,
            present: Mutex::new(present),
            known: Mutex::default(),
            calls: AtomicI64::new(0),
            doubts: AtomicUsize::new(0),
            lost_connection: Notify::new(),
        })
    }

    /// The present lease; `None` while there is none.
    pub(crate) fn incarnation(&self) -> Option<Arc<Incarnation>> {
        lock(&self.present).incarnation.clone()
    }

    /// How long ago the lease was last renewed: what liveness is judged by.
    pub(crate) fn silent_for(&self) -> std::time::Duration {
        lock(&self.present).renewed_at.elapsed()
    }

    /// A claim of a pool, to be made; `None` while there is no lease. Until it is answered it is a doubt.
    pub(crate) fn call(self: &Arc<Self>, pool: &Arc<PoolState>) -> Option<Call> {
        let incarnation = self.incarnation()?;
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.doubt();
        Some(Call { session: self.clone(), pool: pool.clone(), incarnation, number })
    }

    pub(crate) fn note(&self, job_id: JobId, fence: i64, cancel: CancellationToken) {
        lock(&self.known).insert(job_id, (fence, cancel));
    }

    /// A job that has been claimed anew meanwhile stays known.
    pub(crate) fn forget(&self, job_id: JobId, fence: i64) {
        let mut known = lock(&self.known);
        if known.get(&job_id).is_some_and(|(present, _)| *present == fence) {
            known.remove(&job_id);
        }
    }

    /// The database may count something as this process's that it does not know.
    pub(crate) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
    }

    /// A doubt is gone.
    pub(crate) fn resolve(&self) {
        self.doubts.fetch_sub(1, Ordering::SeqCst);
    }

    /// The database went away, or another one has taken its place.
    pub(crate) fn note_lost_connection(&self) {
        self.lost_connection.notify_one();
    }

    /// Resolves once after any number of lost connections.
    pub(crate) async fn connection_lost(&self) {
        self.lost_connection.notified().await;
    }

    /// The jobs that this process has.
    pub(crate) fn known(&self) -> Vec<JobId> {
        lock(&self.known).keys().copied().collect()
    }

    /// The same with their fences.
    pub(crate) fn known_claims(&self) -> (Vec<JobId>, Vec<i64>) {
        lock(&self.known).iter().map(|(id, (fence, _))| (*id, *fence)).unzip()
    }

    pub(crate) fn ask_to_stop(&self, job_id: JobId) {
        if let Some((_, cancel)) = lock(&self.known).get(&job_id) {
            cancel.cancel();
        }
    }

    /// Registers, renews, and registers anew after a loss, until `stop`. It depends on nothing that handlers can hold up.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.incarnation() {
                None => self.join().await,
                Some(incarnation) => self.renew(&incarnation).await,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Takes a new lease; returns how long to wait before the next step.
    pub(crate) async fn join(&self) -> std::time::Duration {
        let settings = self.queue.settings();
        let asked_at = Instant::now();
        let joined = sqlx::query_scalar("INSERT INTO queue.workers (name, lease_until, kinds) VALUES ($1, now() + make_interval(secs => $2), $3) RETURNING id")
            .bind(&self.name)
            .bind(settings.lease.as_secs_f64())
            .bind(&self.kinds);
        let joined = self.queue.kept().ask(async |conn| joined.fetch_one(conn).await);
        match tokio::time::timeout(settings.statement_timeout, joined).await {
            Ok(Ok(worker_id)) => {
                let incarnation = Incarnation { worker_id, lost: CancellationToken::new() };
                *lock(&self.present) =
                    Present { incarnation: Some(Arc::new(incarnation)), renewed_at: asked_at };
                tracing::debug!(worker.id = worker_id, "Joined the queue as worker {worker_id}");
                self.queue.bell().ring_everything_here();
                settings.renew_every
            }
            Ok(Err(error)) => self.complain("join the queue", &error),
            Err(_) => self.complain("join the queue", &"the database does not answer"),
        }
    }

    /// A row of another name is another process's: the database has forgotten this one's, and given its number away again.
    async fn renew(&self, incarnation: &Arc<Incarnation>) -> std::time::Duration {
        let settings = self.queue.settings();
        let asked_at = Instant::now();
        let renewed =
            sqlx::query("UPDATE queue.workers SET lease_until = now() + make_interval(secs => $2) WHERE id = $1 AND name = $3 AND lease_until > now()")
                .bind(incarnation.worker_id)
                .bind(settings.lease.as_secs_f64())
                .bind(&self.name);
        let renewed = self.queue.kept().ask(async |conn| renewed.execute(conn).await);
        let pause =
            match tokio::time::timeout(settings.statement_timeout.min(settings.lease / 3), renewed).await {
                Ok(Ok(done)) if done.rows_affected() == 1 => {
                    lock(&self.present).renewed_at = asked_at;
                    return settings.renew_every;
                }
                Ok(Ok(_)) => {
                    self.lose(incarnation, "it had run out");
                    return std::time::Duration::ZERO;
                }
                Ok(Err(error)) => self.complain("renew the lease", &error),
                Err(_) => self.complain("renew the lease", &"the database does not answer"),
            };
        // By this process's own clock nobody may rely on the lease any more, whatever the database says later.
        if self.silent_for() >= settings.lease {
            self.lose(incarnation, "the database was away for longer than the lease");
        }
        pause
    }

    fn lose(&self, incarnation: &Arc<Incarnation>, why: &str) {
        tracing::warn!(
            worker.id = incarnation.worker_id,
            "Lost the lease of worker {}: {why}",
            incarnation.worker_id
        );
        lock(&self.present).incarnation = None;
        incarnation.lost.cancel();
        self.note_lost_connection();
    }

    fn complain(&self, deed: &str, error: &dyn std::fmt::Display) -> std::time::Duration {
        tracing::warn!(error = %error, "Could not {deed}; trying again");
        (self.queue.settings().renew_every / 4).min(std::time::Duration::from_secs(1))
    }

    /// Hands everything back and forgets the worker; the number of jobs that were handed back. In doubt the database looks for them.
    pub(crate) async fn leave(&self) -> sqlx::Result<i32> {
        let Some(incarnation) = lock(&self.present).incarnation.take() else { return Ok(0) };
        let known = self.known();
        let known = (self.doubts.load(Ordering::SeqCst) == 0).then_some(known);
        incarnation.lost.cancel();
        let leave = sqlx::query_scalar("SELECT queue.leave($1, $2)").bind(incarnation.worker_id).bind(known);
        self.queue.kept().ask(async |conn| leave.fetch_one(conn).await).await
    }
}

/// What is guarded is valid at every step, also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::value::RawValue;
    use sqlx::postgres::PgPoolOptions;
    use sqlx::types::Json;

    use super::*;
    use crate::settings::Settings;
    use crate::worker::claimed::{ClaimedJob, ClaimedRow};

    fn session() -> (Arc<Session>, Arc<PoolState>) {
        let pg = PgPoolOptions::new().connect_lazy("postgres://nowhere").unwrap();
        let session = Session::new(Queue::open(pg, Settings::default()), "this".into(), Vec::new());
        let incarnation = Incarnation { worker_id: 1, lost: CancellationToken::new() };
        lock(&session.present).incarnation = Some(Arc::new(incarnation));
        (session, Arc::new(PoolState::new("test".into(), 9, Duration::from_secs(9))))
    }

    fn doubts(session: &Session) -> usize {
        session.doubts.load(Ordering::SeqCst)
    }

    fn claimed(session: &Arc<Session>, pool: &Arc<PoolState>) -> ClaimedJob {
        let call = session.call(pool).unwrap();
        session.resolve();
        let row = ClaimedRow {
            id: 7,
            fence: 1,
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
        ClaimedJob::new(row, &call, None)
    }

    #[tokio::test]
    async fn a_claim_that_has_no_answer_is_a_doubt() {
        let (session, pool) = session();

        let call = session.call(&pool);

        assert_eq!((call.is_some(), doubts(&session)), (true, 1));
        drop(call);
        assert_eq!(doubts(&session), 1);
    }

    #[tokio::test]
    async fn a_job_that_goes_without_a_stored_verdict_leaves_a_doubt_and_any_other_one_does_not() {
        let (session, pool) = session();
        let (stored, lost) = (claimed(&session, &pool), claimed(&session, &pool));
        stored.known.conclude();

        drop(stored);
        assert_eq!(doubts(&session), 0);
        drop(lost);
        assert_eq!((doubts(&session), session.known().len()), (1, 0));
    }
}
