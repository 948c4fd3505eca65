//! `/admin/api/chunks`: sends of which nobody knows whether they arrived, until an administrator says so.

use axum::Json;
use axum::extract::State;
use channel::administration;
use channel::administration::in_doubt::InDoubt;
use channel::outbound::in_doubt;
use serde::{Deserialize, Serialize};
use store::deliveries::DeliveryState;
use store::ids::ChunkId;
use store::in_doubt::AdminVerdict;
use utoipa::{IntoParams, ToSchema};

use super::{ACTOR, Admin};
use crate::http::input;
use crate::http::problem::Problem;

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
    input::Path(id): input::Path<ChunkId>,
    input::Json(request): input::Json<VerdictRequest>,
) -> Result<Json<VerdictView>, Problem> {
    let verdict = match request.verdict {
        VerdictName::Arrived => AdminVerdict::Arrived,
        VerdictName::SendAgain => AdminVerdict::SendAgain,
    };
    let state = in_doubt::give_verdict(&admin.queue, &admin.pg, id, verdict, ACTOR).await?;
    let state =
        state.ok_or_else(|| Problem::conflict("not_in_doubt", format!("chunk {id} is not in doubt")))?;
    Ok(Json(VerdictView { state }))
}
