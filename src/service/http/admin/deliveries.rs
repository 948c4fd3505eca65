//! `/admin/api/deliveries`: what left, and what did not, without anybody's words.

use axum::Json;
use axum::extract::State;
use channel::administration::deliveries::{self, DeliveryDetail, DeliveryFilter, DeliveryList};
use channel::retries;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::deliveries::{DeliveryState, Purpose};
use store::ids::{DeliveryId, UserId};
use store::text_enum::UnknownText;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;

/// Which deliveries, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryQuery {
    /// This user's: what counts against the allowance, and what was said in the conversation.
    #[param(min_length = 1, max_length = 200)]
    user: Option<String>,
    /// To this number, in any spelling with its country's code; or to this opaque id.
    #[param(min_length = 1, max_length = 200)]
    number: Option<String>,
    /// In this state. `undelivered`: what was to be sent and did not arrive, which is `failed`, `expired` and `unknown`.
    #[param(inline, value_type = Option<WantedState>)]
    state: Option<String>,
    /// The reason begins like this, `quota` say. Without a user, a number or a state, each state's newest 5,000 are looked at.
    #[param(min_length = 1, max_length = 200)]
    reason: Option<String>,
    /// Sent for this.
    #[param(inline, value_type = Option<Purpose>)]
    purpose: Option<String>,
    /// A part of it has this error code of Twilio's, 63024 say.
    #[param(minimum = 1)]
    error_code: Option<i32>,
    /// Planned at this moment or later.
    since: Option<DateTime<Utc>>,
    /// Planned before this moment.
    until: Option<DateTime<Utc>>,
    /// Older than this one: `next` of the page before.
    #[param(value_type = Option<Uuid>)]
    before: Option<DeliveryId>,
    /// How many at most.
    #[serde(default = "super::turns::usual_limit")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: i64,
}

/// A state to look for, or several at once.
pub(super) struct WantedState;

impl PartialSchema for WantedState {
    fn schema() -> RefOr<Schema> {
        let texts: Vec<_> = deliveries::state_words().map(|(word, _)| word).collect();
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts)).into()
    }
}

impl ToSchema for WantedState {}

/// Deliveries, the newest first, each with its parts, their states and what Twilio's error means. A page looks at the newest 5,000 that its user, number,
/// code or unusual state has (without any of these: at the newest 5,000 of all) and `next` goes on behind them.
#[utoipa::path(get, path = "/deliveries", operation_id = "listDeliveries", tag = "deliveries", params(DeliveryQuery), responses((status = 200, body = DeliveryList)))]
pub(super) async fn list(
    State(admin): State<Admin>,
    input::Query(query): input::Query<DeliveryQuery>,
) -> Result<Json<DeliveryList>, Problem> {
    let DeliveryQuery { user, number, state, reason, purpose, error_code, since, until, before, limit } =
        query;
    let states = wanted_states(state.as_deref())?;
    let purpose = wanted_purpose(purpose.as_deref())?;
    let user = user.map(UserId::try_from).transpose()?;
    let filter = DeliveryFilter { user, number, states, reason, purpose, error_code, since, until, before };
    let mut conn = admin.pg.acquire().await?;
    Ok(Json(deliveries::list(&mut conn, &filter, limit).await?))
}

/// The states that a filter's word means; none: all of them.
pub(super) fn wanted_states(state: Option<&str>) -> Result<Vec<DeliveryState>, Problem> {
    let states = state.map(deliveries::states).transpose();
    Ok(states.map_err(|error| Problem::invalid(format!("state: {error}")))?.unwrap_or_default())
}

pub(super) fn wanted_purpose(purpose: Option<&str>) -> Result<Option<Purpose>, Problem> {
    let purpose = purpose.map(str::parse).transpose();
    purpose.map_err(|error: UnknownText| Problem::invalid(format!("purpose: {error}")))
}

/// A delivery with each attempt to send a part and all that Twilio reported.
#[utoipa::path(get, path = "/deliveries/{id}", operation_id = "showDelivery", tag = "deliveries", params(("id" = Uuid, Path, description = "The delivery's id")), responses((status = 200, body = DeliveryDetail), (status = 404, description = "There is no such delivery.")))]
pub(super) async fn show(
    State(admin): State<Admin>,
    input::Path(id): input::Path<DeliveryId>,
) -> Result<Json<DeliveryDetail>, Problem> {
    let shown = deliveries::show(&mut *admin.pg.acquire().await?, id).await?;
    shown.map(Json).ok_or_else(|| Problem::not_found(format!("there is no delivery {id}")))
}

/// What came of an action on one thing.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    /// What does it now.
    pub(super) done: String,
}

/// Sends anew what a delivery did not: its first part that Twilio does not have, and those behind it, by a delivery of its own, under all checks.
#[utoipa::path(post, path = "/deliveries/{id}/resend", operation_id = "resendDelivery", tag = "deliveries", params(("id" = Uuid, Path, description = "The delivery's id")), responses((status = 200, body = Done), (status = 404, description = "There is no such delivery."), (status = 409, description = "It is not sent anew, and why (`refused`).")))]
pub(super) async fn resend(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(id): input::Path<DeliveryId>,
) -> Result<Json<Done>, Problem> {
    let Admin { pg, queue, settings, .. } = &admin;
    let answered = retries::deliveries::resend(queue, pg, settings, id, &administrator.name).await?;
    done(answered.ok_or_else(|| Problem::not_found(format!("there is no delivery {id}")))?)
}

/// What was done, or 409 and why not.
pub(super) fn done(answered: retries::Answered) -> Result<Json<Done>, Problem> {
    match answered {
        retries::Answered::Retried(done) => Ok(Json(Done { done })),
        retries::Answered::Refused(reason) => Err(Problem::conflict("refused", reason)),
    }
}
