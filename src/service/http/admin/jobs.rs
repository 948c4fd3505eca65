//! `/admin/api/jobs`: the queue, as `cloudybot jobs` shows it at a terminal.

use axum::Json;
use axum::extract::State;
use channel::administration::pauses;
use chrono::{DateTime, Utc};
use queue::action_result::ActionResult;
use queue::failure_groups::{self, FailureGroup};
use queue::inspection::{ActionOutcome, JobAction, JobCount, JobCriteria, JobDetail, JobList};
use queue::job::JobId;
use queue::job_state::{JobState, UnknownState};
use queue::pauses::Scope;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;
use crate::retries::{self, Retried};
use crate::sender::{self, Resumed};

/// Which jobs are meant; what is left out does not narrow.
#[derive(Debug, Default)]
pub(super) struct JobFilter {
    /// `held`, `scheduled`, `parked`, `waiting`, `running`, `done`, `cancelled` or `dead`.
    pub(super) state: Option<String>,
    /// A job kind, `send_chunk` say.
    pub(super) kind: Option<String>,
    /// A pool.
    pub(super) pool: Option<String>,
    /// A lane.
    pub(super) lane: Option<String>,
    /// A group of dead jobs.
    pub(super) group: Option<String>,
    /// Enqueued at this moment or later.
    pub(super) since: Option<DateTime<Utc>>,
    /// Enqueued before this moment.
    pub(super) until: Option<DateTime<Utc>>,
    /// A text in their payload.
    pub(super) contains: Option<String>,
}

impl JobFilter {
    pub(super) fn filter(self, before: Option<JobId>) -> Result<JobCriteria, Problem> {
        let Self { state, kind, pool, lane, group, since, until, contains } = self;
        let state = state.map(|state| state.parse()).transpose();
        let state = state.map_err(|error: UnknownState| Problem::invalid(format!("state: {error}")))?;
        let is_group = |group: &String| group.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if !group.as_ref().is_none_or(is_group) {
            let what = "group: twelve digits of 0-9 and a-f, as /admin/api/jobs/groups names it";
            return Err(Problem::invalid(what));
        }
        Ok(JobCriteria { state, kind, pool, lane, group, since, until, contains, before })
    }

    pub(super) fn is_empty(&self) -> bool {
        let texts = [&self.state, &self.kind, &self.pool, &self.lane, &self.group, &self.contains];
        texts.iter().all(|text| text.is_none()) && self.since.is_none() && self.until.is_none()
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many at most.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: i64,
    /// Of a lower number than this: `next` of the page before.
    #[param(value_type = Option<i64>, minimum = 0)]
    before: Option<JobId>,
    // The filter's fields stand here again, since a query string knows no nesting.
    /// Where they stand.
    #[param(inline, value_type = Option<JobState>)]
    state: Option<String>,
    /// A job kind, `send_chunk` say.
    #[param(min_length = 1, max_length = 200)]
    kind: Option<String>,
    /// A pool.
    #[param(min_length = 1, max_length = 200)]
    pool: Option<String>,
    /// A lane.
    #[param(min_length = 1, max_length = 200)]
    lane: Option<String>,
    /// A group of dead jobs, as `/admin/api/jobs/groups` names it.
    #[param(min_length = 12, max_length = 12, pattern = "^[0-9a-f]*$")]
    group: Option<String>,
    /// Enqueued at this moment or later.
    since: Option<DateTime<Utc>>,
    /// Enqueued before this moment.
    until: Option<DateTime<Utc>>,
    /// A text in their payload, in capitals or not, as the payload is written in JSON; the newest 100,000 of the filter are searched.
    #[param(min_length = 1, max_length = 200)]
    contains: Option<String>,
}

fn usual_limit() -> i64 {
    50
}

/// The newest jobs that fit.
#[utoipa::path(get, path = "", operation_id = "listJobs", tag = "jobs", params(ListQuery), responses((status = 200, body = JobList)))]
pub(super) async fn list(
    State(admin): State<Admin>,
    input::Query(query): input::Query<ListQuery>,
) -> Result<Json<JobList>, Problem> {
    let ListQuery { limit, before, state, kind, pool, lane, group, since, until, contains } = query;
    let filter = JobFilter { state, kind, pool, lane, group, since, until, contains }.filter(before)?;
    Ok(Json(admin.queue.list(&filter, limit).await?))
}

/// How many jobs stand where.
#[derive(Serialize, ToSchema)]
pub(super) struct JobStats {
    counts: Vec<JobCount>,
}

/// Live and dead jobs by pool, kind and state.
#[utoipa::path(get, path = "/stats", operation_id = "jobStats", tag = "jobs", responses((status = 200, body = JobStats)))]
pub(super) async fn stats(State(admin): State<Admin>) -> Result<Json<JobStats>, Problem> {
    Ok(Json(JobStats { counts: admin.queue.stats().await? }))
}

/// Which failures are grouped.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GroupsQuery {
    /// Jobs that have failed and are tried again, instead of dead ones.
    #[serde(default)]
    live: bool,
}

/// Failures by what went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupList {
    /// The largest group first.
    groups: Vec<FailureGroup>,
}

/// Dead jobs by what went wrong: errors that differ in numbers, ids, addresses and quoted words alone are one group.
#[utoipa::path(get, path = "/groups", operation_id = "jobGroups", tag = "jobs", params(GroupsQuery), responses((status = 200, body = GroupList)))]
pub(super) async fn groups(
    State(admin): State<Admin>,
    input::Query(GroupsQuery { live }): input::Query<GroupsQuery>,
) -> Result<Json<GroupList>, Problem> {
    let mut conn = admin.pg.acquire().await?;
    let groups = if live {
        failure_groups::of_live(&mut conn).await?
    } else {
        failure_groups::of_dead(&mut conn).await?
    };
    Ok(Json(GroupList { groups }))
}

/// One job with everything that is known of it.
#[utoipa::path(get, path = "/{id}", operation_id = "showJob", tag = "jobs", params(("id" = i64, Path, minimum = 1, description = "The job's number")), responses((status = 200, body = JobDetail), (status = 404, description = "There is no such job, or not any more.")))]
pub(super) async fn show(
    State(admin): State<Admin>,
    input::Path(id): input::Path<JobId>,
) -> Result<Json<JobDetail>, Problem> {
    let job = admin.queue.show(id).await?;
    job.map(Json).ok_or_else(|| no_such_job(id))
}

fn no_such_job(id: JobId) -> Problem {
    Problem::not_found(format!("job {id} is not remembered"))
}

/// Tries a dead job again: what it was about gets a successor, or the reason why not is told.
#[utoipa::path(post, path = "/{id}/retry", operation_id = "retryJob", tag = "jobs", params(("id" = i64, Path, minimum = 1, description = "The job's number")), responses((status = 200, body = Retried)))]
pub(super) async fn retry(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(id): input::Path<JobId>,
) -> Result<Json<Retried>, Problem> {
    let Admin { pg, queue, settings, .. } = &admin;
    let mut outcomes = Vec::new();
    retries::retry_all(queue, pg, settings, &[id], &administrator.name, &mut outcomes).await?;
    Ok(Json(outcomes.remove(0)))
}

/// Ends a waiting job, asks a running one to stop, puts a dead one away.
#[utoipa::path(post, path = "/{id}/cancel", operation_id = "cancelJob", tag = "jobs", params(("id" = i64, Path, minimum = 1, description = "The job's number")), responses((status = 200, body = ActionOutcome), (status = 404, description = "There is no such job, or not any more.")))]
pub(super) async fn cancel(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(id): input::Path<JobId>,
) -> Result<Json<ActionOutcome>, Problem> {
    let outcome = admin.queue.act_on(JobAction::Cancel, id, &administrator.name).await?;
    match outcome.outcome {
        ActionResult::NoSuchJob => Err(no_such_job(id)),
        _ => Ok(Json(outcome)),
    }
}

/// What is to be paused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PauseRequest {
    /// What the name is of.
    scope: PauseScope,
    /// Of a pool or kind that there is.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    name: String,
    /// Why, for whoever looks.
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\x00]*$")]
    reason: Option<String>,
}

/// What goes on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResumeRequest {
    /// What the name is of.
    scope: PauseScope,
    /// Of the pool or the kind.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    name: String,
}

/// What a pause is about.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum PauseScope {
    /// All jobs of a pool.
    Pool,
    /// All jobs of a kind.
    Kind,
}

impl From<PauseScope> for Scope {
    fn from(scope: PauseScope) -> Self {
        match scope {
            PauseScope::Pool => Self::Pool,
            PauseScope::Kind => Self::Kind,
        }
    }
}

/// Whether a pause changed anything.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    changed: bool,
}

/// Begins nothing new of a pool or a kind, in all processes.
#[utoipa::path(post, path = "/pause", operation_id = "pauseJobs", tag = "jobs", request_body = PauseRequest, responses((status = 200, body = Changed), (status = 404, description = "There is no such pool or kind; `known` are those that there are.")))]
pub(super) async fn pause(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Json(request): input::Json<PauseRequest>,
) -> Result<Json<Changed>, Problem> {
    let PauseRequest { scope, name, reason } = request;
    let Admin { pg, queue, .. } = &admin;
    let changed =
        pauses::pause(queue, pg, scope.into(), &name, &administrator.name, reason.as_deref()).await?;
    Ok(Json(Changed { changed }))
}

/// Lets a pool or a kind go on. A sender that was held back is tried out at once.
#[utoipa::path(post, path = "/resume", operation_id = "resumeJobs", tag = "jobs", request_body = ResumeRequest, responses((status = 200, body = Resumed)))]
pub(super) async fn resume(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Json(request): input::Json<ResumeRequest>,
) -> Result<Json<Resumed>, Problem> {
    let Admin { pg, queue, settings, .. } = &admin;
    let scope = request.scope.into();
    Ok(Json(sender::resume(queue, pg, settings, scope, &request.name, &administrator.name).await?))
}

/// Whether a sender is tried out.
#[derive(Serialize, ToSchema)]
pub(super) struct Probing {
    /// False: it is not held back.
    probing: bool,
}

/// Tries out now whether Twilio takes what we send, while sending is paused because it did not.
#[utoipa::path(post, path = "/probe", operation_id = "probeSender", tag = "jobs", responses((status = 200, body = Probing)))]
pub(super) async fn probe(
    State(admin): State<Admin>,
    administrator: Administrator,
) -> Result<Json<Probing>, Problem> {
    let Admin { pg, queue, settings, .. } = &admin;
    Ok(Json(Probing { probing: sender::probe(queue, pg, settings, &administrator.name).await? }))
}
