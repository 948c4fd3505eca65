//! `/admin/api/alerts`: what a person must look at.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::alerts::{Alert, AlertCause};
use utoipa::ToSchema;

use super::Admin;
use crate::http::input;
use crate::http::problem::Problem;

/// What nobody has acknowledged, and what is not over by itself.
#[derive(Serialize, ToSchema)]
pub(super) struct AlertList {
    alerts: Vec<AlertView>,
}

/// An alert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AlertView {
    id: i64,
    /// What happened.
    cause: AlertCause,
    /// What happened the latest time.
    detail: String,
    /// How often it was raised within its hour.
    times: i32,
    opened_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
}

impl From<Alert> for AlertView {
    fn from(alert: Alert) -> Self {
        let Alert { id, cause, detail, times, opened_at, last_seen_at, .. } = alert;
        Self { id, cause, detail, times, opened_at, last_seen_at }
    }
}

/// What nobody has acknowledged and what is not over, the newest first.
#[utoipa::path(get, path = "/alerts", operation_id = "listAlerts", tag = "alerts", responses((status = 200, body = AlertList)))]
pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<AlertList>, Problem> {
    let alerts = store::alerts::open(&mut *admin.pg.acquire().await?).await?;
    Ok(Json(AlertList { alerts: alerts.into_iter().map(AlertView::from).collect() }))
}

/// Says that somebody has looked.
#[utoipa::path(post, path = "/alerts/{id}/acknowledge", operation_id = "acknowledgeAlert", tag = "alerts", params(("id" = i64, Path, minimum = 1, description = "The alert's number")), responses((status = 204, description = "It is not listed any more, once it is over."), (status = 404, description = "No such alert waits for somebody to look.")))]
pub(super) async fn acknowledge(
    State(admin): State<Admin>,
    input::Path(id): input::Path<i64>,
) -> Result<StatusCode, Problem> {
    if store::alerts::acknowledge(&mut *admin.pg.acquire().await?, id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found(format!("no alert {id} waits for somebody to look")))
}
