//! `/admin/api/status`, `/admin/api/workers`, `/admin/api/pauses`: what needs a person first, who works, and what is paused.

use axum::Json;
use axum::extract::State;
use channel::administration::pauses::{self, PauseView};
use channel::administration::processes::{self, ProcessView};
use channel::administration::status::Status;
use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;
use crate::http::problem::Problem;
use crate::status;

/// What needs a person first, the most urgent first, each with what helps. It is answered while the database is away, too: that is a finding.
#[utoipa::path(get, path = "/status", operation_id = "status", tag = "status", responses((status = 200, body = Status)))]
pub(super) async fn status(State(admin): State<Admin>) -> Result<Json<Status>, Problem> {
    let settings = status::Settings {
        folder: &admin.schedules,
        plans: &admin.settings.plans,
        alerts: &admin.settings.alerts,
    };
    Ok(Json(status::read(&admin.pg, &settings).await))
}

/// The processes that work.
#[derive(Serialize, ToSchema)]
pub(super) struct WorkerList {
    /// In the order of their starts.
    workers: Vec<ProcessView>,
}

/// The processes that work: where, since when, which pools they serve and how busy they are.
#[utoipa::path(get, path = "/workers", operation_id = "listWorkers", tag = "status", responses((status = 200, body = WorkerList)))]
pub(super) async fn workers(State(admin): State<Admin>) -> Result<Json<WorkerList>, Problem> {
    Ok(Json(WorkerList { workers: processes::all(&mut *admin.pg.acquire().await?).await? }))
}

/// What is paused.
#[derive(Serialize, ToSchema)]
pub(super) struct PauseList {
    /// Pools and kinds.
    pauses: Vec<PauseView>,
}

/// What is paused: since when, by whom, why, and when the sender is tried next.
#[utoipa::path(get, path = "/pauses", operation_id = "listPauses", tag = "status", responses((status = 200, body = PauseList)))]
pub(super) async fn pauses(State(admin): State<Admin>) -> Result<Json<PauseList>, Problem> {
    Ok(Json(PauseList { pauses: pauses::all(&mut *admin.pg.acquire().await?).await? }))
}
