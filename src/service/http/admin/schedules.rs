//! `/admin/api/schedules`: operators' cron duties, as `cloudybot schedules` shows and switches them at a terminal.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;
use crate::schedules::files::Files;
use crate::schedules::listing::{self, ScheduleList};
use crate::schedules::preview::{self, Preview};
use crate::schedules::switching::{self, Fired, Switch, Switched, Tested};

/// How much is counted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Of how many users of a slot, the first ones of its audience, it is counted what became of them.
    #[serde(default = "counted_users")]
    #[param(default = 2_000, minimum = 1)]
    users: i64,
}

fn counted_users() -> i64 {
    listing::USUAL_USERS
}

/// How far a preview looks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewQuery {
    /// How many slots.
    #[serde(default = "usual_slots")]
    #[param(default = 10, minimum = 1, maximum = 1_000)]
    slots: i64,
    /// How many users of the audience, the first ones.
    #[serde(default = "usual_users")]
    #[param(default = 10_000, minimum = 1)]
    users: i64,
}

fn usual_slots() -> i64 {
    preview::USUAL_SLOTS
}

fn usual_users() -> i64 {
    preview::USUAL_USERS
}

/// Which schedule a path is about.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SchedulePath {
    /// The file's stem.
    #[param(min_length = 1, max_length = 200)]
    name: String,
}

/// Every schedule: whether it is on and why not, its next and last slots, who has which version of its file, and what is wrong with the files.
#[utoipa::path(get, path = "", operation_id = "listSchedules", tag = "schedules", params(ListQuery), responses((status = 200, body = ScheduleList)))]
pub(super) async fn list(
    State(admin): State<Admin>,
    input::Query(ListQuery { users }): input::Query<ListQuery>,
) -> Result<Json<ScheduleList>, Problem> {
    let files = admin.files().await;
    Ok(Json(listing::list(&mut *admin.pg.acquire().await?, files, users).await?.0))
}

/// What the schedule's file would do: its next slots, its audience, the words. Sends nothing. 404: this process's folder has no such file; 409: the file is
/// wrong, and `errors` are all that is wrong with it.
#[utoipa::path(get, path = "/{name}/preview", operation_id = "previewSchedule", tag = "schedules", params(SchedulePath, PreviewQuery), responses((status = 200, body = Preview), (status = 404, description = "There is no such file in this process's folder; `known` are those that there are."), (status = 409, description = "The file is wrong (`wrong_file`), or the folder cannot be read (`unreadable_folder`).")))]
pub(super) async fn preview(
    State(admin): State<Admin>,
    input::Path(SchedulePath { name }): input::Path<SchedulePath>,
    input::Query(PreviewQuery { slots, users }): input::Query<PreviewQuery>,
) -> Result<Json<Preview>, Problem> {
    let files = admin.files().await;
    let schedule = files.find(&name, &admin.settings.plans)?;
    let mut conn = admin.pg.acquire().await?;
    Ok(Json(preview::preview(&mut conn, &admin.settings, schedule, slots, users).await?))
}

/// What was confirmed of a firing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FireRequest {
    /// How many people were seen to be meant: if it writes to another number now, nothing is done. Above 2,000 their number is estimated, and a tenth more
    /// or less is the same.
    #[schema(minimum = 0)]
    expected: Option<i64>,
}

/// Fires a schedule now, recorded as manual.
#[utoipa::path(post, path = "/{name}/fire", operation_id = "fireSchedule", tag = "schedules", params(SchedulePath), request_body = Option<FireRequest>, responses((status = 200, body = Fired), (status = 404, description = "There is no such schedule; `known` are those that there are."), (status = 409, description = "The schedule cannot be fired (`unreadable_definition`), or writes to another number of people than was expected (`unexpected_number`; `fitting` is how many). Nothing was done.")))]
pub(super) async fn fire(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(SchedulePath { name }): input::Path<SchedulePath>,
    input::OptionalJson(FireRequest { expected }): input::OptionalJson<FireRequest>,
) -> Result<Json<Fired>, Problem> {
    Ok(Json(switching::fire(&admin.queue, &admin.pg, &name, expected, &administrator.name).await?))
}

/// With whom a schedule is tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestRequest {
    /// CloudyBot's id of the user.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*$")]
    user: String,
}

/// Tries a schedule with one user, now and whoever its audience is; recorded as a test, metered as any message.
#[utoipa::path(post, path = "/{name}/test", operation_id = "testSchedule", tag = "schedules", params(SchedulePath), request_body = TestRequest, responses((status = 200, body = Tested), (status = 404, description = "There is no such schedule, or no such user."), (status = 421, description = "The user belongs to another cell, which `cell` names (`other_cell`), or the request's Host is none of this service."), (status = 409, description = "The schedule cannot be fired (`unreadable_definition`).")))]
pub(super) async fn test(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(SchedulePath { name }): input::Path<SchedulePath>,
    input::Json(TestRequest { user }): input::Json<TestRequest>,
) -> Result<Json<Tested>, Problem> {
    let user = user.try_into()?;
    Ok(Json(switching::test(&admin.queue, &admin.pg, &name, &user, &administrator.name).await?))
}

/// Lets a schedule fire again; what fell due meanwhile is not made good. `enabled` says whether it does now, `disabledWhy` what else keeps it from firing.
#[utoipa::path(post, path = "/{name}/enable", operation_id = "enableSchedule", tag = "schedules", params(SchedulePath), responses((status = 200, body = Switched), (status = 404, description = "There is no such schedule; `known` are those that there are.")))]
pub(super) async fn enable(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(SchedulePath { name }): input::Path<SchedulePath>,
) -> Result<Json<Switched>, Problem> {
    Ok(Json(switching::switch(&admin.pg, &name, Switch::On, &administrator.name).await?))
}

/// Why a schedule is switched off.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DisableRequest {
    /// For whoever looks.
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\x00]*$")]
    reason: Option<String>,
}

/// Keeps a schedule from firing, whatever its file says. Who did so, when and why is in the list.
#[utoipa::path(post, path = "/{name}/disable", operation_id = "disableSchedule", tag = "schedules", params(SchedulePath), request_body = Option<DisableRequest>, responses((status = 200, body = Switched), (status = 404, description = "There is no such schedule; `known` are those that there are.")))]
pub(super) async fn disable(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(SchedulePath { name }): input::Path<SchedulePath>,
    input::OptionalJson(DisableRequest { reason }): input::OptionalJson<DisableRequest>,
) -> Result<Json<Switched>, Problem> {
    let off = Switch::Off { reason: reason.as_deref() };
    Ok(Json(switching::switch(&admin.pg, &name, off, &administrator.name).await?))
}

impl Admin {
    /// The files as this process sees them now.
    pub(crate) async fn files(&self) -> Files {
        Files::read(&self.schedules, &self.settings.plans).await
    }
}
