//! Listing, showing, counting, retrying, cancelling, pausing and resuming jobs, for administrators. Each action leaves
//! a row in `queue.audit`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::Queue;
use crate::action_result::ActionResult;
use crate::attempt_end::AttemptEnd;
use crate::audit::{self, Change};
use crate::job::JobId;
use crate::job_search::{self, Beginnings, JobPage};
use crate::job_state::JobState;
use crate::pauses::{self, Scope};

/// Which jobs are meant. A field that is empty matches all.
#[derive(Clone, Debug, Default)]
pub struct JobCriteria {
    /// One state.
    pub state: Option<JobState>,
    /// One kind.
    pub kind: Option<String>,
    /// One pool.
    pub pool: Option<String>,
    /// One lane.
    pub lane: Option<String>,
    /// One group of failures; only dead jobs have one.
    pub group: Option<String>,
    /// Enqueued at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Enqueued before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Its payload has this text somewhere, in capitals or not.
    pub contains: Option<String>,
    /// Of a lower number: the next page of a list.
    pub before: Option<JobId>,
}

/// A job as a list shows it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct JobSummary {
    /// Its number.
    #[schema(value_type = i64)]
    pub id: JobId,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// What it does.
    pub kind: String,
    /// Whose workers do it.
    pub pool: String,
    /// What it is in line with.
    pub lane: Option<String>,
    /// Attempts that failed.
    pub failed_attempts: i32,
    /// Not before this moment.
    pub run_at: Option<DateTime<Utc>>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it died or was cancelled.
    pub reason: Option<String>,
}

/// A page of jobs, the newest first.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    /// What fits.
    pub jobs: Vec<JobSummary>,
    /// `before` of the next page; null: there is none. Where it is set beside fewer jobs than were asked for, the newest 15,000 (of a search for a
    /// text: 100,000) have no more that fit, and older ones were not looked at.
    #[schema(value_type = Option<i64>)]
    pub next: Option<JobId>,
    /// Finished jobs with lower numbers were not looked at: ask for `state=done` or `state=cancelled` with this as `before`. Absent: nothing was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub unread_before: Option<JobId>,
    /// The same of live jobs, of which a kind, a lane and what runs are found however many there are, and the newest 15,000 are looked through for a pool, a
    /// time or another state: ask for a kind, or for one of these states with this as `before`. Absent: nothing was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub unread_live_before: Option<JobId>,
    /// The same of dead jobs, of which the newest 100,000 are searched for a text: ask for `state=dead` with this as `before`. Absent: nothing was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub unread_dead_before: Option<JobId>,
}

/// A job with all its details.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobDetail {
    /// The list's row.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The rest of the row.
    #[serde(flatten)]
    pub rest: JobRest,
    /// Every attempt that did not simply succeed, in order.
    pub attempts: Vec<AttemptRow>,
}

/// What a list leaves out.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct JobRest {
    /// What at most one live job has.
    pub unique_key: Option<String>,
    /// Higher goes first.
    pub priority: Option<i32>,
    /// Attempts until it is dead.
    pub max_attempts: Option<i32>,
    /// How often its process died under it.
    pub crashes: i32,
    /// How often it put itself off.
    pub snoozes: Option<i32>,
    /// When the present or last attempt began.
    pub claimed_at: Option<DateTime<Utc>>,
    /// Which worker has or had it.
    pub worker_id: Option<i64>,
    /// A person wants it to stop.
    pub cancel_asked: bool,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
    /// What it is about.
    pub payload: Value,
}

/// An attempt that did not simply succeed.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRow {
    /// Its number, from 1; a snooze or a crash repeats it.
    pub attempt: i16,
    /// How it ended.
    #[sqlx(try_from = "String")]
    pub outcome: AttemptEnd,
    /// Which worker ran it.
    pub worker_id: Option<i64>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// What went wrong.
    pub error: Option<String>,
}

/// How many jobs of a pool and kind stand where.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[schema(as = Count)]
pub struct JobCount {
    /// The pool.
    pub pool: String,
    /// The kind.
    pub kind: String,
    /// The state.
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// How many.
    pub jobs: i64,
    /// There may be more: of so many live or dead jobs the newest 10,000 and the oldest 10,000 are counted.
    pub is_more: bool,
    /// When the oldest of them was enqueued.
    pub oldest: Option<DateTime<Utc>>,
    /// Whether the pool or the kind is paused.
    pub paused: bool,
}

/// The outcome of an action on one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Outcome)]
pub struct ActionOutcome {
    /// The job.
    #[schema(value_type = i64)]
    pub id: JobId,
    /// What was done, or why nothing was.
    pub outcome: ActionResult,
}

/// An action on jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobAction {
    /// A dead job is tried again.
    Retry,
    /// A waiting job ends, a running one is asked to stop, a dead one is put away.
    Cancel,
}

/// Jobs in one transaction of an action.
const BULK_STEP: usize = 500;

const SUMMARY: &str = "SELECT id, state, kind, pool, lane, failed_attempts, run_at, created_at, finished_at, reason FROM queue.every_job";

impl Queue {
    /// The newest jobs that match, at most `limit`.
    pub async fn list(&self, filter: &JobCriteria, limit: i64) -> sqlx::Result<JobList> {
        let mut tx = self.pool().begin().await?;
        sqlx::raw_sql(job_search::IN_ORDER).execute(&mut *tx).await?;
        let beginnings = Beginnings::find(&mut tx, filter).await?;
        let mut query = job_search::summaries(filter, beginnings, JobPage::Newest(limit));
        let jobs: Vec<JobSummary> = query.build_query_as().fetch_all(&mut *tx).await?;
        tx.commit().await?;
        if i64::try_from(jobs.len()).is_ok_and(|found| found == limit) {
            let next = jobs.last().map(|job| job.id);
            let unread = Beginnings::default();
            return Ok(unread.list(next, jobs));
        }
        // Of a state that one table has, only older ones are left.
        let next = filter.state.and(beginnings.first());
        Ok(beginnings.list(next, jobs))
    }

    /// One job; `None`: there is none, or it is past the age of the history.
    pub async fn show(&self, id: JobId) -> sqlx::Result<Option<JobDetail>> {
        let mut query = QueryBuilder::<Postgres>::new(SUMMARY);
        query.push(" WHERE id = ").push_bind(id);
        let Some(summary) = query.build_query_as().fetch_optional(&mut *self.pool().acquire().await?).await?
        else {
            return Ok(None);
        };
        let rest = sqlx::query_as(
            "SELECT unique_key, priority, max_attempts, crashes, snoozes, claimed_at, worker_id, cancel_asked, traceparent, payload
             FROM queue.every_job WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *self.pool().acquire().await?)
        .await?;
        let Some(rest) = rest else { return Ok(None) };
        let attempts = sqlx::query_as(
            "SELECT attempt, outcome, worker_id, started_at, ended_at, error FROM queue.attempts WHERE job_id = $1 ORDER BY ended_at, attempt",
        )
        .bind(id)
        .fetch_all(&mut *self.pool().acquire().await?)
        .await?;
        Ok(Some(JobDetail { summary, rest, attempts }))
    }

    /// Numbers of live and dead jobs by pool, kind and state. Of many, both ends are counted, since those who wait longest are at one and newcomers
    /// at the other. Finished jobs are not counted, since that would read the whole history.
    pub async fn stats(&self) -> sqlx::Result<Vec<JobCount>> {
        sqlx::query_as(
            "WITH newest AS MATERIALIZED (
                 SELECT pool, kind, state, count(*) AS jobs, min(created_at) AS oldest, min(id) AS first
                 FROM (SELECT id, pool, kind, state, created_at FROM queue.jobs ORDER BY id DESC LIMIT 10000) AS j GROUP BY pool, kind, state
             ), oldest AS MATERIALIZED (
                 SELECT pool, kind, state, count(*) AS jobs, min(created_at) AS oldest
                 FROM (SELECT pool, kind, state, created_at FROM queue.jobs WHERE id < (SELECT min(first) FROM newest) ORDER BY id LIMIT 10000) AS j
                 GROUP BY pool, kind, state
             ), newest_dead AS MATERIALIZED (
                 SELECT pool, kind, count(*) AS jobs, min(created_at) AS oldest, min(id) AS first
                 FROM (SELECT id, pool, kind, created_at FROM queue.dead ORDER BY id DESC LIMIT 10000) AS j GROUP BY pool, kind
             ), oldest_dead AS MATERIALIZED (
                 SELECT pool, kind, count(*) AS jobs, min(created_at) AS oldest
                 FROM (SELECT pool, kind, created_at FROM queue.dead WHERE id < (SELECT min(first) FROM newest_dead) ORDER BY id LIMIT 10000) AS j
                 GROUP BY pool, kind
             ), more AS MATERIALIZED (
                 SELECT coalesce((SELECT sum(jobs) FROM oldest), 0) = 10000 AS live, coalesce((SELECT sum(jobs) FROM oldest_dead), 0) = 10000 AS dead
             ), found AS (
                 SELECT pool, kind, state::TEXT, jobs, oldest, live AS is_more FROM newest, more UNION ALL
                 SELECT pool, kind, state::TEXT, jobs, oldest, live FROM oldest, more UNION ALL
                 SELECT pool, kind, 'dead', jobs, oldest, dead FROM newest_dead, more UNION ALL
                 SELECT pool, kind, 'dead', jobs, oldest, dead FROM oldest_dead, more
             )
             SELECT pool, kind, state, sum(jobs)::BIGINT AS jobs, bool_or(is_more) AS is_more, min(oldest) AS oldest,
                    EXISTS (SELECT FROM queue.pauses p WHERE (p.scope, p.name) IN (('pool', pool), ('kind', kind))) AS paused
             FROM found GROUP BY pool, kind, state ORDER BY pool, kind, state",
        )
        .fetch_all(&mut *self.pool().acquire().await?)
        .await
    }

    /// Retries or cancels one job.
    pub async fn act_on(&self, action: JobAction, id: JobId, actor: &str) -> sqlx::Result<ActionOutcome> {
        let mut outcomes = self.act_on_all(action, &[id], actor).await?;
        Ok(outcomes.pop().expect("one job, one outcome"))
    }

    pub(crate) async fn act_on_all(
        &self,
        action: JobAction,
        ids: &[JobId],
        actor: &str,
    ) -> sqlx::Result<Vec<ActionOutcome>> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for step in ids.chunks(BULK_STEP) {
            let mut tx = self.pool().begin().await?;
            for id in step {
                let outcome: String = match action {
                    JobAction::Retry => {
                        sqlx::query_scalar("SELECT queue.retry_dead($1)").bind(id).fetch_one(&mut *tx).await?
                    }
                    JobAction::Cancel => {
                        let why = format!("cancelled by {actor}");
                        sqlx::query_scalar("SELECT queue.cancel($1, $2)")
                            .bind(id)
                            .bind(why)
                            .fetch_one(&mut *tx)
                            .await?
                    }
                };
                let outcome = outcome.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
                let outcome = match outcome {
                    ActionResult::NotDead | ActionResult::NotLive if !is_remembered(&mut tx, *id).await? => {
                        ActionResult::NoSuchJob
                    }
                    outcome => outcome,
                };
                let name = if action == JobAction::Retry { "retry" } else { "cancel" };
                audit::note(&mut tx, actor, name, &format!("job {id}"), outcome.as_str()).await?;
                outcomes.push(ActionOutcome { id: *id, outcome });
            }
            tx.commit().await?;
        }
        self.notifier().wake_pollers();
        Ok(outcomes)
    }

    /// Pauses a pool or a kind for all processes: running jobs go on, no others start. False: it was paused already.
    pub async fn pause(
        &self,
        scope: Scope,
        name: &str,
        actor: &str,
        reason: Option<&str>,
    ) -> sqlx::Result<bool> {
        let mut tx = self.pool().begin().await?;
        let changed = pauses::pause(&mut tx, scope, name, actor, reason).await?;
        if !changed {
            audit::note(&mut tx, actor, "pause", &format!("{} {name}", scope.as_str()), "was paused").await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Resumes a pool or a kind. False: it was not paused.
    pub async fn resume(&self, scope: Scope, name: &str, actor: &str) -> sqlx::Result<bool> {
        let mut tx = self.pool().begin().await?;
        let lifted: Option<(String, Option<String>)> = sqlx::query_as(
            "DELETE FROM queue.pauses WHERE scope = $1 AND name = $2 RETURNING paused_by, reason",
        )
        .bind(scope.as_str())
        .bind(name)
        .fetch_optional(&mut *tx)
        .await?;
        let changed = lifted.is_some();
        let outcome = if changed { "resumed" } else { "was not paused" };
        let before = lifted.map(|(by, reason)| match reason {
            Some(reason) => format!("paused by {by}: {reason}"),
            None => format!("paused by {by}"),
        });
        let change = Change { before: before.as_deref(), after: changed.then_some("running") };
        let target = format!("{} {name}", scope.as_str());
        audit::note_change(&mut tx, actor, "resume", &target, outcome, change).await?;
        tx.commit().await?;
        self.notifier().wake_pollers();
        Ok(changed)
    }
}

/// Whether there is a job of this number, however it stands.
pub async fn is_remembered(conn: &mut PgConnection, id: JobId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM queue.jobs WHERE id = $1) OR EXISTS (SELECT FROM queue.dead WHERE id = $1)
             OR EXISTS (SELECT FROM queue.finished WHERE id = $1)",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}

/// When the live job with this unique key is due; `None`: there is no such job.
pub async fn due_at(conn: &mut PgConnection, unique_key: &str) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar("SELECT run_at FROM queue.jobs WHERE unique_key = $1")
        .bind(unique_key)
        .fetch_optional(conn)
        .await
}
