//! Claims: the statements, and a claimed job on its way to its handler.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Row as _};

use crate::job::JobId;
use crate::worker::lease::Lease;
use crate::worker::pool::PoolState;
use crate::worker::process::WorkerProcess;
use crate::worker::stop_signal::StopSignal;
use crate::worker::suspects::{RunningSuspect, SuspectPermit};
use crate::worker::tid::Tid;

/// A row as a claim returns it.
pub(crate) struct ClaimedRow {
    pub(crate) id: JobId,
    pub(crate) fence: i64,
    pub(crate) kind: String,
    pub(crate) lane: Option<String>,
    pub(crate) attempt: i16,
    pub(crate) max_attempts: i16,
    pub(crate) suspicion: i16,
    pub(crate) traceparent: Option<String>,
    pub(crate) payload: Json<Box<RawValue>>,
    /// Where the claim wrote it; unknown for a suspect.
    pub(crate) tid: Option<Tid>,
}

impl ClaimedRow {
    /// The job's number and the fence of its claim.
    pub(crate) fn claim(&self) -> (JobId, i64) {
        (self.id, self.fence)
    }
}

/// In the order of [`CLAIM`]'s columns: by position and without a comparison of types, which for ten columns of each job
/// take longer than decoding it. The functions that claim declare the types.
impl FromRow<'_, PgRow> for ClaimedRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get_unchecked(0)?,
            fence: row.try_get_unchecked(1)?,
            kind: row.try_get_unchecked(2)?,
            lane: row.try_get_unchecked(3)?,
            attempt: row.try_get_unchecked(4)?,
            max_attempts: row.try_get_unchecked(5)?,
            suspicion: row.try_get_unchecked(6)?,
            traceparent: row.try_get_unchecked(7)?,
            payload: row.try_get_unchecked(8)?,
            tid: row.try_get_unchecked(9)?,
        })
    }
}

/// A claimed job on its way through its attempt. Clones are the same claim.
#[derive(Clone)]
pub(crate) struct ClaimedJob {
    pub(crate) owned: Arc<OwnedJob>,
    pub(crate) occupancy: Arc<Occupancy>,
}

/// The room that a job takes while it is claimed; released with its last owner.
pub(crate) struct Occupancy {
    claim: Arc<JobClaim>,
    _suspect: Option<RunningSuspect>,
}

impl Drop for Occupancy {
    fn drop(&mut self) {
        self.claim.pool.leave_room();
    }
}

/// The part of a claimed job that its handler sees, and may hold for longer than it runs.
pub(crate) struct AttemptState {
    pub(crate) row: ClaimedRow,
    pub(crate) claim: Arc<JobClaim>,
    pub(crate) stop: StopSignal,
    /// Whether a transaction of the handler has completed it for certain.
    completed: AtomicBool,
}

impl AttemptState {
    /// Notes that a transaction which completed the job has committed.
    pub(crate) fn mark_completed(&self) {
        self.completed.store(true, Ordering::Release);
    }

    pub(crate) fn is_completed(&self) -> bool {
        self.completed.load(Ordering::Acquire)
    }
}

/// A job that this process owns, until its outcome is stored.
pub(crate) struct OwnedJob {
    pub(crate) state: Arc<AttemptState>,
    /// Whether its outcome is stored.
    stored: AtomicBool,
}

impl OwnedJob {
    /// Notes that the outcome is stored, or that the claim no longer exists.
    pub(crate) fn mark_stored(&self) {
        self.stored.store(true, Ordering::Release);
    }
}

impl Deref for OwnedJob {
    type Target = AttemptState;

    fn deref(&self) -> &AttemptState {
        &self.state
    }
}

impl Drop for OwnedJob {
    fn drop(&mut self) {
        if !*self.stored.get_mut() {
            self.claim.process.add_in_doubt();
        }
        self.claim.process.remove_job(self.row.claim());
    }
}

const CLAIM: &str =
    "SELECT id, claim, kind, lane, attempt, max_attempts, suspicion, traceparent, payload, place
     FROM queue.claim_jobs($1, $2, $3, $4)";

const CLAIM_SUSPECT: &str =
    "SELECT id, claim, kind, lane, attempt, max_attempts, suspicion, traceparent, payload, NULL::TID
     FROM queue.claim_suspect($1, $2, $3, $4)";

/// A claim that is to be made under a lease. Its number is unique among the claims of the process.
pub(crate) struct JobClaim {
    pub(crate) process: Arc<WorkerProcess>,
    pub(crate) pool: Arc<PoolState>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) number: i64,
}

/// Claims up to `room` jobs of a pool.
pub(crate) async fn claim(request: &Arc<JobClaim>, room: usize) -> sqlx::Result<Vec<ClaimedJob>> {
    let claim = sqlx::query_as(CLAIM)
        .bind(request.lease.worker_id)
        .bind(&request.pool.name)
        .bind(i32::try_from(room).unwrap_or(i32::MAX))
        .bind(request.number);
    let rows: Vec<ClaimedRow> =
        request.process.queue.pool().run(async |conn| claim.fetch_all(conn).await).await?;
    Ok(ClaimedJob::all(rows, request))
}

/// Prepares and plans the claim on a new connection, by a claim of no jobs.
pub(crate) async fn prepare(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(CLAIM).bind(0_i64).bind("").bind(0_i32).bind(0_i64).execute(connection).await?;
    Ok(())
}

/// Claims one suspect that may start, if there is one.
pub(crate) async fn claim_suspect(
    request: &Arc<JobClaim>,
    permit: SuspectPermit,
) -> sqlx::Result<Vec<ClaimedJob>> {
    let claim = sqlx::query_as(CLAIM_SUSPECT)
        .bind(request.lease.worker_id)
        .bind(&request.pool.name)
        .bind(permit.max_suspicion)
        .bind(request.number);
    let row: Option<ClaimedRow> =
        request.process.queue.pool().run(async |conn| claim.fetch_optional(conn).await).await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let running = permit.start(row.suspicion);
    Ok(vec![ClaimedJob::new(row, request, Some(running))])
}

/// After a claim without an answer: hands back the jobs that it took and that this process does not know, and makes
/// sure that it takes none later. Returns the number of jobs.
pub(crate) async fn hand_back_unknown(request: &JobClaim, suspects: bool) -> sqlx::Result<i32> {
    let (known, fences) = request.process.claims();
    let statement = sqlx::query_scalar("SELECT queue.hand_back_unknown($1, $2, $3, $4, $5, $6)")
        .bind(request.lease.worker_id)
        .bind(&request.pool.name)
        .bind(suspects)
        .bind(known)
        .bind(fences)
        .bind(request.number);
    request.process.queue.pool().run(async |conn| statement.fetch_one(conn).await).await
}

impl ClaimedJob {
    /// What one claim brought, known to the process from now on.
    fn all(rows: Vec<ClaimedRow>, claim: &Arc<JobClaim>) -> Vec<Self> {
        let jobs: Vec<Self> = rows.into_iter().map(|row| Self::unknown(row, claim, None)).collect();
        claim.process.add_jobs(jobs.iter().map(|job| &job.owned.state));
        jobs
    }

    pub(crate) fn new(row: ClaimedRow, claim: &Arc<JobClaim>, suspect: Option<RunningSuspect>) -> Self {
        let job = Self::unknown(row, claim, suspect);
        claim.process.add_jobs(std::iter::once(&job.owned.state));
        job
    }

    /// A job that the process does not know yet.
    fn unknown(row: ClaimedRow, claim: &Arc<JobClaim>, suspect: Option<RunningSuspect>) -> Self {
        claim.pool.take_room(row.id);
        let state = AttemptState {
            row,
            claim: claim.clone(),
            stop: StopSignal::default(),
            completed: AtomicBool::new(false),
        };
        Self {
            owned: Arc::new(OwnedJob { state: Arc::new(state), stored: AtomicBool::new(false) }),
            occupancy: Arc::new(Occupancy { claim: claim.clone(), _suspect: suspect }),
        }
    }
}

#[cfg(test)]
impl ClaimedRow {
    /// A row of kind `act` in no lane, with nothing in its past.
    pub(crate) fn plain(id: i64, fence: i64) -> Self {
        Self {
            id: JobId(id),
            fence,
            kind: "act".into(),
            lane: None,
            attempt: 0,
            max_attempts: 1,
            suspicion: 0,
            traceparent: None,
            payload: Json(RawValue::NULL.to_owned()),
            tid: None,
        }
    }
}
