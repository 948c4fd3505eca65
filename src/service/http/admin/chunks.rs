//! `/admin/api/chunks`: the parts of what left; and sends of which nobody knows whether they arrived, until an administrator says so.

use axum::Json;
use axum::extract::State;
use channel::administration;
use channel::administration::chunks::{self, ChunkFilter, ChunkList};
use channel::administration::in_doubt::InDoubt;
use channel::outbound::in_doubt;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::chunk_place::InvalidPlace;
use store::chunks::ChunkState;
use store::deliveries::DeliveryState;
use store::ids::{ChunkId, UserId};
use store::in_doubt::AdminVerdict;
use store::text_enum::UnknownText;
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;

/// Which chunks, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ChunkQuery {
    /// This user's: what counts against the allowance, and what was said in the conversation.
    #[param(min_length = 1, max_length = 200)]
    user: Option<String>,
    /// To this number, in any spelling with its country's code; or to this opaque id.
    #[param(min_length = 1, max_length = 200)]
    number: Option<String>,
    /// In this state.
    #[param(inline, value_type = Option<ChunkState>)]
    state: Option<String>,
    /// With this error code of Twilio's, 63024 say.
    #[param(minimum = 1)]
    error_code: Option<i32>,
    /// Of a delivery that was planned at this moment or later.
    since: Option<DateTime<Utc>>,
    /// Of a delivery that was planned before this moment.
    until: Option<DateTime<Utc>>,
    /// Older than this place: `next` of the page before.
    #[param(min_length = 1, max_length = 50)]
    before: Option<String>,
    /// How many at most.
    #[serde(default = "super::turns::usual_limit")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: i64,
}

/// The parts of deliveries, the newest first, each with its state and what Twilio's error means. A page looks at the newest
/// 5,000 that its user, number, code or unusual state has (without any of these: at the newest 5,000 of all) and `next` goes on behind them.
#[utoipa::path(get, path = "/chunks", operation_id = "listChunks", tag = "chunks", params(ChunkQuery), responses((status = 200, body = ChunkList)))]
pub(super) async fn list(
    State(admin): State<Admin>,
    input::Query(query): input::Query<ChunkQuery>,
) -> Result<Json<ChunkList>, Problem> {
    let ChunkQuery { user, number, state, error_code, since, until, before, limit } = query;
    let state = state.map(|state| state.parse()).transpose();
    let state = state.map_err(|error: UnknownText| Problem::invalid(format!("state: {error}")))?;
    let before = before.map(|before| before.parse()).transpose();
    let before = before.map_err(|error: InvalidPlace| Problem::invalid(format!("before: {error}")))?;
    let user = user.map(UserId::try_from).transpose()?;
    let filter = ChunkFilter { user, number, state, error_code, since, until, before };
    Ok(Json(chunks::list(&mut *admin.pg.acquire().await?, &filter, limit).await?))
}

/// Everything in doubt.
#[derive(Serialize, ToSchema)]
pub(super) struct InDoubtList {
    chunks: Vec<InDoubt>,
}

/// How the list is made.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct InDoubtQuery {
    /// Also ask Twilio's list about each of them, at this moment, which takes some time and changes no state.
    #[serde(default)]
    #[param(default = false)]
    ask_twilio: bool,
}

/// Sends in doubt, the oldest first, at most 200, with all that a person needs to judge one: whole numbers and texts are in it, to ask the person.
#[utoipa::path(get, path = "/chunks/in-doubt", operation_id = "listInDoubt", tag = "chunks", params(InDoubtQuery), responses((status = 200, body = InDoubtList)))]
pub(super) async fn in_doubt(
    State(admin): State<Admin>,
    input::Query(query): input::Query<InDoubtQuery>,
) -> Result<Json<InDoubtList>, Problem> {
    let Admin { pg, settings, twilio, .. } = &admin;
    let mut chunks = administration::in_doubt::list(&mut *pg.acquire().await?, settings).await?;
    if query.ask_twilio {
        administration::in_doubt::ask_twilio(twilio, pg, settings, &mut chunks).await?;
    }
    Ok(Json(InDoubtList { chunks }))
}

/// What somebody knows of a send in doubt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VerdictRequest {
    verdict: VerdictName,
}

/// What is said of it.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum VerdictName {
    /// The person has it; it is never sent again.
    Arrived,
    /// The person does not have it; it is sent again.
    SendAgain,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(super) struct VerdictView {
    /// The delivery's state now.
    state: DeliveryState,
}

/// Says what became of a send in doubt.
#[utoipa::path(post, path = "/chunks/{id}/verdict", operation_id = "giveVerdict", tag = "chunks", params(("id" = i64, Path, minimum = 1, description = "The chunk's number")), request_body = VerdictRequest, responses((status = 200, body = VerdictView), (status = 409, description = "The chunk is not in doubt (`not_in_doubt`).")))]
pub(super) async fn give_verdict(
    State(admin): State<Admin>,
    administrator: Administrator,
    input::Path(id): input::Path<ChunkId>,
    input::Json(request): input::Json<VerdictRequest>,
) -> Result<Json<VerdictView>, Problem> {
    let verdict = match request.verdict {
        VerdictName::Arrived => AdminVerdict::Arrived,
        VerdictName::SendAgain => AdminVerdict::SendAgain,
    };
    let state = in_doubt::give_verdict(&admin.queue, &admin.pg, id, verdict, &administrator.name).await?;
    let state =
        state.ok_or_else(|| Problem::conflict("not_in_doubt", format!("chunk {id} is not in doubt")))?;
    Ok(Json(VerdictView { state }))
}
