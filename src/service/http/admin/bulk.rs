//! Actions on all jobs that fit a filter: a request goes by steps for some seconds, and says where the next one goes on.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use queue::Queue;
use queue::bulk::{self, Bulk};
use queue::inspection::{ActionOutcome, JobAction};
use queue::job::JobId;
use queue::job_state::JobState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::jobs::JobFilter;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;
use crate::retries::{self, Retries};

/// The jobs that an action is about: at least one of the filter's fields is needed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BulkRequest {
    // The filter's fields stand here again: serde refuses no unknown fields of a flattened one.
    /// Where they stand.
    #[schema(value_type = Option<JobState>)]
    state: Option<String>,
    /// A job kind, `send_chunk` say.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    kind: Option<String>,
    /// A pool.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    pool: Option<String>,
    /// A lane.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    lane: Option<String>,
    /// A group of dead jobs, as `/admin/api/jobs/groups` names it.
    #[schema(min_length = 12, max_length = 12, pattern = "^[0-9a-f]*$")]
    group: Option<String>,
    /// Enqueued at this moment or later.
    since: Option<DateTime<Utc>>,
    /// Enqueued before this moment.
    until: Option<DateTime<Utc>>,
    /// A text in their payload, in capitals or not, as the payload is written in JSON.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    contains: Option<String>,
    /// Of a higher number than this: `next` of the request before.
    #[schema(value_type = Option<i64>, minimum = 0)]
    after: Option<JobId>,
    /// How many jobs at most; without it, as many as some seconds allow.
    #[schema(minimum = 1)]
    limit: Option<i64>,
    /// How many jobs were seen to fit, by `dryRun` say: if others fit now, nothing is done.
    #[schema(minimum = 0)]
    expected: Option<i64>,
    /// Do nothing; `rest` says how many jobs fit.
    #[serde(default)]
    dry_run: bool,
}

impl BulkRequest {
    /// Begins it, if as many fit as the caller has confirmed. An empty body by mistake must not mean everything.
    async fn begin(self, queue: &Queue, action: JobAction) -> Result<BulkInTime, Problem> {
        let Self { state, kind, pool, lane, group, since, until, contains, after, limit, expected, dry_run } =
            self;
        let filter = JobFilter { state, kind, pool, lane, group, since, until, contains };
        if filter.is_empty() {
            return Err(Problem::invalid(
                "say which jobs: state, kind, pool, lane, group, since, until or contains",
            ));
        }
        let bulk = queue.bulk(action, filter.filter(None)?).await?;
        let bulk = bulk.behind(after.unwrap_or(JobId(0)));
        if expected.is_some() {
            check_expected(expected, queue.rest(&bulk).await?)?;
        }
        let most = if dry_run { 0 } else { limit.unwrap_or(i64::MAX).min(expected.unwrap_or(i64::MAX)) };
        Ok(BulkInTime { bulk, begun: Instant::now(), left: most })
    }
}

/// 409 where another number fits now than the caller has confirmed.
pub(super) fn check_expected(expected: Option<i64>, fitting: i64) -> Result<(), Problem> {
    match expected {
        Some(expected) if expected != fitting => Err(Problem::unexpected_number(expected, fitting)),
        _ => Ok(()),
    }
}

/// An action on many jobs, as far as one request goes.
struct BulkInTime {
    bulk: Bulk,
    begun: Instant,
    /// Jobs that the request may still touch.
    left: i64,
}

impl BulkInTime {
    /// Gets ready for another step, of so many jobs at most. False: the request has done its share.
    fn has_room(&mut self, most: i64) -> bool {
        self.bulk.make_steps_of(most.min(self.left));
        self.left > 0 && self.begun.elapsed() < AT_MOST
    }

    fn has_done(&mut self, jobs: usize) {
        self.left -= i64::try_from(jobs).unwrap_or(self.left);
    }

    /// How many jobs are left, and where the next request begins.
    async fn rest(&self, queue: &Queue) -> Result<(i64, Option<JobId>), Problem> {
        let rest = queue.rest(&self.bulk).await?;
        Ok((rest, (rest > 0).then(|| self.bulk.position())))
    }
}

/// What came of an action on many jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct Outcomes {
    /// What came of each job that was touched.
    outcomes: Vec<ActionOutcome>,
    /// How many jobs are left that fit, once a request has taken its time.
    rest: i64,
    /// `after` of the request that takes them; null: all is done.
    #[schema(value_type = Option<i64>)]
    next: Option<JobId>,
}

/// What came of trying many jobs again.
#[derive(Serialize, ToSchema)]
pub(super) struct BulkRetries {
    #[serde(flatten)]
    retries: Retries,
    /// How many jobs are left that fit, once a request has taken its time.
    rest: i64,
    /// `after` of the request that takes them, so that none that was refused is met again; null: all is done.
    #[schema(value_type = Option<i64>)]
    next: Option<JobId>,
}

/// A request with a filter begins no further step after this.
const AT_MOST: Duration = Duration::from_secs(5);

/// Retries of a step; each has a transaction of its own.
const RETRIES_AT_ONCE: i64 = 50;

/// Tries every dead job again that fits, and says for each kind how many were tried and how many not, and why; at least one field of the filter must be
/// given. It goes by steps for some seconds, the oldest first; `rest` says how many jobs are left, and `next` where the following request goes on.
#[utoipa::path(post, path = "/retry", operation_id = "retryJobs", tag = "jobs", request_body = BulkRequest, responses((status = 200, body = BulkRetries), (status = 409, description = "As many do not fit as were expected (`unexpected_number`); `fitting` is how many do. Nothing was done.")))]
pub(super) async fn retry_fitting(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Json(request): input::Json<BulkRequest>,
) -> Result<Json<BulkRetries>, Problem> {
    let Admin { pg, queue, settings, .. } = &admin;
    let mut retry = request.begin(queue, JobAction::Retry).await?;
    let mut outcomes = Vec::new();
    while retry.has_room(RETRIES_AT_ONCE) {
        let ids = queue.next_of(&mut retry.bulk).await?;
        if ids.is_empty() {
            break;
        }
        retries::retry_all(queue, pg, settings, &ids, &administrator.name, &mut outcomes).await?;
        retry.has_done(ids.len());
    }
    let (rest, next) = retry.rest(queue).await?;
    Ok(Json(BulkRetries { retries: outcomes.into(), rest, next }))
}

/// Cancels every live job that fits, or every dead one with `"state": "dead"`; at least one field of the filter must be given. Without a kind, what other
/// jobs rely on is left alone: follow-ups, the sender's probe, the upkeep. It goes by steps, each committed, for some seconds; `rest` says how many jobs
/// are left, and `next` where the following request goes on.
#[utoipa::path(post, path = "/cancel", operation_id = "cancelJobs", tag = "jobs", request_body = BulkRequest, responses((status = 200, body = Outcomes), (status = 409, description = "As many do not fit as were expected (`unexpected_number`); `fitting` is how many do. Nothing was done.")))]
pub(super) async fn cancel_fitting(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Json(request): input::Json<BulkRequest>,
) -> Result<Json<Outcomes>, Problem> {
    let mut cancel = request.begin(&admin.queue, JobAction::Cancel).await?;
    let mut outcomes = Vec::new();
    while cancel.has_room(bulk::STEP) {
        let step = admin.queue.step(&mut cancel.bulk, &administrator.name).await?;
        if step.is_empty() {
            break;
        }
        cancel.has_done(step.len());
        outcomes.extend(step);
    }
    let (rest, next) = cancel.rest(&admin.queue).await?;
    Ok(Json(Outcomes { outcomes, rest, next }))
}
