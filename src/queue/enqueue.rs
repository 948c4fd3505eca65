//! Puts jobs into the queue, inside the caller's transaction.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::job::{Enqueued, JobId, NewJob};
use crate::trace::TraceParent;

/// Why a job could not be enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The payload has no JSON form (a map with keys that are no strings, say).
    #[error("the payload of job kind {kind} cannot be written as JSON")]
    Payload {
        /// The job's kind.
        kind: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The database refused or was away, and the transaction cannot commit. Of a commit without an answer
    /// ([`crate::Queue::enqueue`]) it is unknown whether the job exists.
    #[error("cannot enqueue")]
    Database(#[from] sqlx::Error),
}

/// Enqueues one job on a bare connection. No worker is woken, so the job is found by polling.
/// [`crate::transaction::Transaction`] wakes workers after its commit.
pub async fn insert(conn: &mut PgConnection, job: NewJob) -> Result<Enqueued, EnqueueError> {
    if job.lane.is_some() || job.unique_key.is_some() {
        let mut outcomes = insert_batch(conn, vec![job]).await?;
        return Ok(outcomes.pop().expect("one job in, one outcome out"));
    }
    let payload = payload_of(job.kind, job.payload)?;
    let id: JobId = sqlx::query_scalar(
        "INSERT INTO queue.jobs (run_at, priority, max_attempts, state, kind, pool, traceparent, payload)
         VALUES (coalesce($1, now()), $2, $3, (CASE WHEN $1 > now() THEN 'scheduled' ELSE 'waiting' END)::queue.state, $4, $5, $6, $7)
         RETURNING id",
    )
    .bind(job.run_at)
    .bind(job.priority)
    .bind(as_smallint(job.max_attempts))
    .bind(job.kind)
    .bind(job.pool)
    .bind(traceparent(job.trace))
    .bind(payload)
    .fetch_one(conn)
    .await?;
    Ok(Enqueued::New(id))
}

/// Enqueues any number of jobs in one statement; the outcomes are in their order.
pub async fn insert_batch(conn: &mut PgConnection, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, EnqueueError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let first = &jobs[0];
    if jobs.iter().all(|job| is_plain_like(job, first)) {
        return insert_alike(conn, jobs).await;
    }
    let columns = Columns::of(jobs)?;
    let ids: Vec<Option<JobId>> =
        sqlx::query_scalar("SELECT queue.enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(&columns.kinds)
            .bind(&columns.pools)
            .bind(&columns.payloads)
            .bind(&columns.priorities)
            .bind(&columns.run_ats)
            .bind(&columns.lanes)
            .bind(&columns.unique_keys)
            .bind(&columns.max_attempts)
            .bind(&columns.traceparents)
            .fetch_one(conn)
            .await?;
    Ok(ids.into_iter().map(|id| id.map_or(Enqueued::Duplicate, Enqueued::New)).collect())
}

/// Whether two jobs differ in their payloads alone, and neither needs a look-up.
fn is_plain_like(job: &NewJob, other: &NewJob) -> bool {
    job.is_plain()
        && (job.kind, job.pool, job.priority, job.max_attempts, &job.trace)
            == (other.kind, other.pool, other.priority, other.max_attempts, &other.trace)
}

/// Plain jobs that differ in their payloads alone: one bare statement.
async fn insert_alike(conn: &mut PgConnection, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, EnqueueError> {
    let NewJob { kind, pool, priority, max_attempts, .. } = jobs[0];
    let trace = traceparent(jobs[0].trace);
    let payloads =
        jobs.into_iter().map(|job| payload_of(job.kind, job.payload)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<JobId> = sqlx::query_scalar(
        "INSERT INTO queue.jobs (priority, max_attempts, state, kind, pool, traceparent, payload)
         SELECT $1, $2, 'waiting', $3, $4, $5, payload FROM unnest($6::JSONB[]) AS u (payload)
         RETURNING id",
    )
    .bind(priority)
    .bind(as_smallint(max_attempts))
    .bind(kind)
    .bind(pool)
    .bind(trace)
    .bind(payloads)
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(Enqueued::New).collect())
}

/// Makes the live job with this unique key due now; while it runs, its next snooze is cut short. Returns its pool.
pub async fn wake(conn: &mut PgConnection, unique_key: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT queue.wake($1)").bind(unique_key).fetch_one(conn).await
}

/// Gives the first job of a lane another time, if it is of this kind, scheduled, and has not failed. Returns its pool.
pub async fn move_head(
    conn: &mut PgConnection,
    lane: &str,
    kind: &str,
    to: DateTime<Utc>,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT queue.move_head($1, $2, $3)")
        .bind(lane)
        .bind(kind)
        .bind(to)
        .fetch_one(conn)
        .await
}

/// The jobs of a batch, one array for each column.
#[derive(Default)]
struct Columns {
    kinds: Vec<&'static str>,
    pools: Vec<&'static str>,
    payloads: Vec<Json<Box<RawValue>>>,
    priorities: Vec<i16>,
    run_ats: Vec<Option<DateTime<Utc>>>,
    lanes: Vec<Option<String>>,
    unique_keys: Vec<Option<String>>,
    max_attempts: Vec<i16>,
    traceparents: Vec<Option<String>>,
}

impl Columns {
    fn of(jobs: Vec<NewJob>) -> Result<Self, EnqueueError> {
        let mut columns = Self::default();
        for job in jobs {
            columns.kinds.push(job.kind);
            columns.pools.push(job.pool);
            columns.payloads.push(payload_of(job.kind, job.payload)?);
            columns.priorities.push(job.priority);
            columns.run_ats.push(job.run_at);
            columns.lanes.push(job.lane);
            columns.unique_keys.push(job.unique_key);
            columns.max_attempts.push(as_smallint(job.max_attempts));
            columns.traceparents.push(traceparent(job.trace));
        }
        Ok(columns)
    }
}

/// The trace that the job was given, or the current one.
fn traceparent(given: Option<TraceParent>) -> Option<String> {
    given.or_else(TraceParent::current).map(|trace| trace.as_str().to_owned())
}

fn payload_of(
    kind: &'static str,
    payload: Result<Box<RawValue>, serde_json::Error>,
) -> Result<Json<Box<RawValue>>, EnqueueError> {
    payload.map(Json).map_err(|source| EnqueueError::Payload { kind, source })
}

/// Attempts are stored as SMALLINT; nobody waits for attempt 32 768.
pub(crate) fn as_smallint(attempts: u16) -> i16 {
    i16::try_from(attempts).unwrap_or(i16::MAX)
}
