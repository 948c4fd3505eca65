//! `/admin/api/turns`: runs of the agent, without anybody's words.

use axum::Json;
use axum::extract::State;
use channel::administration::turns::{self, TurnFilter, TurnList, TurnView};
use channel::retries::turns::Wish;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::ids::{TurnId, UserId};
use store::turns::TurnState;
use utoipa::IntoParams;

use super::Admin;
use super::deliveries::{self, Done};
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;

/// Which turns, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TurnQuery {
    /// This user's.
    #[param(min_length = 1, max_length = 200)]
    user: Option<String>,
    /// Of the user who has this number, in any spelling with its country's code, or had it last.
    #[param(min_length = 1, max_length = 200)]
    number: Option<String>,
    /// In this state.
    #[param(inline, value_type = Option<TurnState>)]
    state: Option<String>,
    /// Begun at this moment or later.
    since: Option<DateTime<Utc>>,
    /// Begun before this moment.
    until: Option<DateTime<Utc>>,
    /// Of a lower number than this: `next` of the page before.
    #[param(value_type = Option<i64>, minimum = 0)]
    before: Option<TurnId>,
    /// How many at most.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: i64,
}

pub(super) fn usual_limit() -> i64 {
    50
}

/// Runs of the agent, the newest first, each with its calls and what became of its reply.
#[utoipa::path(get, path = "/turns", operation_id = "listTurns", tag = "turns", params(TurnQuery), responses((status = 200, body = TurnList)))]
pub(super) async fn list(
    State(admin): State<Admin>,
    input::Query(query): input::Query<TurnQuery>,
) -> Result<Json<TurnList>, Problem> {
    let TurnQuery { user, number, state, since, until, before, limit } = query;
    let state = state.map(|state| state.parse::<TurnState>()).transpose();
    let state = state.map_err(|error| Problem::invalid(format!("state: {error}")))?;
    let user = user.map(UserId::try_from).transpose()?;
    let filter = TurnFilter { user, number, state, since, until, before };
    Ok(Json(turns::list(&mut *admin.pg.acquire().await?, &filter, limit).await?))
}

/// A run of the agent with its calls and what became of its reply.
#[utoipa::path(get, path = "/turns/{id}", operation_id = "showTurn", tag = "turns", params(("id" = i64, Path, minimum = 1, description = "The turn's number")), responses((status = 200, body = TurnView), (status = 404, description = "There is no such turn.")))]
pub(super) async fn show(
    State(admin): State<Admin>,
    input::Path(id): input::Path<TurnId>,
) -> Result<Json<TurnView>, Problem> {
    let shown = turns::show(&mut *admin.pg.acquire().await?, id).await?;
    shown.map(Json).ok_or_else(|| Problem::not_found(format!("there is no turn {id}")))
}

/// Has the messages of one failed turn answered once more, by a turn of its own, whether or not the agent is well.
#[utoipa::path(post, path = "/turns/{id}/retry", operation_id = "retryTurn", tag = "turns", params(("id" = i64, Path, minimum = 1, description = "The turn's number")), responses((status = 200, body = Done), (status = 404, description = "There is no such turn."), (status = 409, description = "It is not answered once more, and why (`refused`).")))]
pub(super) async fn retry(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(id): input::Path<TurnId>,
) -> Result<Json<Done>, Problem> {
    let Admin { pg, queue, settings, .. } = &admin;
    let wish = Wish { actor: &administrator.name, is_dry: false };
    let answered = channel::retries::turns::retry_one(queue, pg, settings, id, wish).await?;
    deliveries::done(answered.ok_or_else(|| Problem::not_found(format!("there is no turn {id}")))?)
}
