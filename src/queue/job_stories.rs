//! The jobs that were about something, for people: found by what their payload says, without an index over it. Live and dead jobs are looked up by their
//! lanes, finished ones among those that were enqueued at about the moment at which these must have been.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::attempt_end::AttemptEnd;
use crate::job::JobId;
use crate::job_state::JobState;

/// A job, and what became of it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct JobStory {
    /// Its number.
    pub id: JobId,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// What it does.
    pub kind: String,
    /// Whose workers do it.
    pub pool: String,
    /// Its pool or its kind is paused.
    pub paused: bool,
    /// Not before this moment.
    pub run_at: Option<DateTime<Utc>>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When its present or last attempt began.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it died or was cancelled.
    pub reason: Option<String>,
}

/// An attempt that did not simply succeed.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct AttemptStory {
    /// Of which job.
    pub job_id: JobId,
    /// How it ended.
    #[sqlx(try_from = "String")]
    pub outcome: AttemptEnd,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// What went wrong.
    pub error: Option<String>,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// A part of the jobs' payload.
    pub payload: Value,
    /// The lanes in which they stand.
    pub lanes: &'a [String],
    /// The moments at which they must have been enqueued, by the database's clock.
    pub moments: &'a [DateTime<Utc>],
}

/// A job has the time at which its transaction began, and its number a little later; both by the clock of the database, which may be set.
const EARLIER: TimeDelta = TimeDelta::seconds(15);
const LATER: TimeDelta = TimeDelta::seconds(5);

/// The jobs, in the order of their numbers. Of finished ones those that are still remembered.
pub async fn about(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Vec<JobStory>> {
    let mut jobs: Vec<JobStory> = live(conn, about).await?;
    jobs.extend(dead(conn, about).await?);
    for moment in about.moments {
        jobs.extend(finished(conn, about, *moment).await?);
    }
    jobs.sort_by_key(|job| job.id);
    jobs.dedup_by_key(|job| job.id);
    Ok(jobs)
}

/// Live jobs of these lanes; of each lane one is ahead, the others are held.
pub async fn live(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Vec<JobStory>> {
    sqlx::query_as(
        "SELECT j.id, j.state::TEXT AS state, j.kind, j.pool,
                EXISTS (SELECT FROM queue.pauses p WHERE (p.scope, p.name) IN (('pool', j.pool), ('kind', j.kind))) AS paused,
                j.run_at, j.created_at, j.claimed_at, NULL::TIMESTAMPTZ AS finished_at, NULL::TEXT AS reason
         FROM (SELECT id, state, kind, pool, run_at, created_at, claimed_at, payload FROM queue.jobs WHERE lane = ANY ($1) AND phase <> 'held'
               UNION ALL
               SELECT id, state, kind, pool, run_at, created_at, claimed_at, payload FROM queue.jobs WHERE lane = ANY ($1) AND phase = 'held') AS j
         WHERE j.payload @> $2",
    )
    .bind(about.lanes)
    .bind(&about.payload)
    .fetch_all(conn)
    .await
}

async fn dead(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Vec<JobStory>> {
    sqlx::query_as(
        "SELECT id, 'dead' AS state, kind, pool, FALSE AS paused, NULL::TIMESTAMPTZ AS run_at, created_at, NULL::TIMESTAMPTZ AS claimed_at, finished_at, reason
         FROM queue.dead WHERE lane = ANY ($1) AND payload @> $2",
    )
    .bind(about.lanes)
    .bind(&about.payload)
    .fetch_all(conn)
    .await
}

async fn finished(
    conn: &mut PgConnection,
    about: &About<'_>,
    moment: DateTime<Utc>,
) -> sqlx::Result<Vec<JobStory>> {
    let Some(low) = first_finished_at(conn, moment - EARLIER).await? else { return Ok(Vec::new()) };
    let high = first_finished_at(conn, moment + LATER).await?;
    sqlx::query_as(
        "SELECT id, CASE WHEN cancelled THEN 'cancelled' ELSE 'done' END AS state, kind, pool, FALSE AS paused, NULL::TIMESTAMPTZ AS run_at, created_at,
                claimed_at, finished_at, reason
         FROM (SELECT * FROM queue.finished WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 20000) AS near
         WHERE lane = ANY ($3) AND payload @> $4 ORDER BY id LIMIT 100",
    )
    .bind(low)
    .bind(high.unwrap_or(JobId(i64::MAX)))
    .bind(about.lanes)
    .bind(&about.payload)
    .fetch_all(conn)
    .await
}

/// The number of the first finished job that was enqueued at a moment or later, by halves: numbers are drawn in that order, and no index has the times.
async fn first_finished_at(conn: &mut PgConnection, moment: DateTime<Utc>) -> sqlx::Result<Option<JobId>> {
    sqlx::query_scalar(
        "WITH RECURSIVE search (low, high) AS (
             SELECT (SELECT min(id) FROM queue.finished), (SELECT max(id) FROM queue.finished) + 1
             UNION ALL
             SELECT CASE WHEN p.created_at < $1 THEN p.id + 1 ELSE s.low END, CASE WHEN p.created_at < $1 THEN s.high ELSE s.low + (s.high - s.low) / 2 END
             FROM search s LEFT JOIN LATERAL (
                 SELECT id, created_at FROM queue.finished WHERE id >= s.low + (s.high - s.low) / 2 AND id < s.high ORDER BY id LIMIT 1) AS p ON TRUE
             WHERE s.low < s.high)
         SELECT low FROM search WHERE low >= high LIMIT 1",
    )
    .bind(moment)
    .fetch_optional(conn)
    .await
}

/// The attempts of these jobs that did not simply succeed, in order, at most 1000.
pub async fn attempts(conn: &mut PgConnection, ids: &[JobId]) -> sqlx::Result<Vec<AttemptStory>> {
    let mut attempts: Vec<AttemptStory> = sqlx::query_as(
        "SELECT job_id, outcome, started_at, ended_at, error FROM queue.attempts WHERE job_id = ANY ($1) LIMIT 1000",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    attempts.sort_by_key(|attempt| attempt.ended_at);
    Ok(attempts)
}

/// The live jobs that have one of these unique keys, by key.
pub async fn live_by_key(conn: &mut PgConnection, keys: &[String]) -> sqlx::Result<Vec<(String, JobId)>> {
    sqlx::query_as(
        "SELECT unique_key, id FROM queue.jobs WHERE unique_key = ANY ($1) AND unique_key IS NOT NULL",
    )
    .bind(keys)
    .fetch_all(conn)
    .await
}
