//! `/admin/api/alerts`: what a person must look at.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use channel::administration::alerts::{self, AlertFilter, AlertList, AlertView};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::alerts::{AlertCause, AlertState};
use store::ids::AlertId;
use store::text_enum::UnknownText;
use utoipa::IntoParams;

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;

/// Which alerts.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AlertsQuery {
    /// Where they stand.
    #[param(inline, value_type = Option<AlertState>)]
    state: Option<String>,
    /// Also those that wait for nobody; without it and without `state`, those that wait for a person.
    #[serde(default)]
    #[param(default = false)]
    all: bool,
    /// One cause.
    #[param(inline, value_type = Option<AlertCause>)]
    cause: Option<String>,
    /// Seen at this moment or later.
    since: Option<DateTime<Utc>>,
    /// Of a lower number than this: `next` of the page before.
    #[param(value_type = Option<i64>, minimum = 0)]
    before: Option<AlertId>,
    /// How many at most.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: i64,
}

fn usual_limit() -> i64 {
    50
}

/// What waits for a person, or all that fits, the newest first.
#[utoipa::path(get, path = "/alerts", operation_id = "listAlerts", tag = "alerts", params(AlertsQuery), responses((status = 200, body = AlertList)))]
pub(super) async fn list(
    State(admin): State<Admin>,
    input::Query(query): input::Query<AlertsQuery>,
) -> Result<Json<AlertList>, Problem> {
    let AlertsQuery { state, all, cause, since, before, limit } = query;
    let state = state.map(|state| state.parse()).transpose();
    let state = state.map_err(|error: UnknownText| Problem::invalid(format!("state: {error}")))?;
    let cause = cause.map(|cause| cause.parse()).transpose();
    let cause = cause.map_err(|error: UnknownText| Problem::invalid(format!("cause: {error}")))?;
    let state = state.or((!all).then_some(AlertState::Open));
    let filter = AlertFilter { state, cause, since, before };
    Ok(Json(alerts::list(&mut *admin.pg.acquire().await?, filter, limit).await?))
}

/// An alert with its remedy.
#[utoipa::path(get, path = "/alerts/{id}", operation_id = "getAlert", tag = "alerts", params(("id" = i64, Path, minimum = 1, description = "The alert's number")), responses((status = 200, body = AlertView), (status = 404, description = "There is no such alert.")))]
pub(super) async fn show(
    State(admin): State<Admin>,
    input::Path(id): input::Path<AlertId>,
) -> Result<Json<AlertView>, Problem> {
    let found = alerts::show(&mut *admin.pg.acquire().await?, id).await?;
    found.map(Json).ok_or_else(|| Problem::not_found(format!("no alert {id}")))
}

/// Says that somebody has looked: it is not told again. What only waited for that is over.
#[utoipa::path(post, path = "/alerts/{id}/acknowledge", operation_id = "acknowledgeAlert", tag = "alerts", params(("id" = i64, Path, minimum = 1, description = "The alert's number")), responses((status = 204, description = "It waits for nobody any more."), (status = 404, description = "No such alert waits for somebody to look.")))]
pub(super) async fn acknowledge(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(id): input::Path<AlertId>,
) -> Result<StatusCode, Problem> {
    if alerts::acknowledge(&admin.queue, &admin.pg, &admin.settings, id, &administrator.name).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found(format!("no alert {id} waits for somebody to look")))
}
