//! `POST /admin/api/jobs/{id}/run-now`: a job that waits for its time does not wait any longer.

use axum::Json;
use axum::extract::State;
use queue::job::JobId;
use queue::run_now::DueNow;

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;

/// Makes a scheduled job due now: one of the future, or one that waits for its next attempt. What the job itself waits for, quiet hours or the sender's pace
/// say, it still looks at.
#[utoipa::path(post, path = "/{id}/run-now", operation_id = "runJobNow", tag = "jobs", params(("id" = i64, Path, minimum = 1, description = "The job's number")), responses((status = 200, body = DueNow), (status = 404, description = "There is no such job, or not any more."), (status = 409, description = "It does not wait for a time (`not_scheduled`); the detail says where it stands and what helps. Nothing was done.")))]
pub(super) async fn run_now(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(id): input::Path<JobId>,
) -> Result<Json<DueNow>, Problem> {
    Ok(Json(admin.queue.run_now(id, &administrator.name).await?))
}
