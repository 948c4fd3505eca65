//! `/admin/api/takeovers`: conversations in which a person answers instead of the agent.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use channel::conversation::takeovers::{self, AnswerByHandView, TakeoverView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;
use crate::http::product::{UserPath, notifications};

/// Takeovers that last.
#[derive(Serialize, ToSchema)]
pub(super) struct TakeoverList {
    /// The one that ends first stands first; two hundred at most.
    takeovers: Vec<TakeoverView>,
}

/// What is said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerRequest {
    /// As it leaves, with WhatsApp's signs.
    #[schema(min_length = 1, max_length = 20_000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    text: String,
}

/// Conversations in which a person answers instead of the agent.
#[utoipa::path(get, path = "/takeovers", operation_id = "listTakeovers", tag = "takeovers", responses((status = 200, body = TakeoverList)))]
pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<TakeoverList>, Problem> {
    let takeovers = takeovers::list(&mut *admin.pg.acquire().await?, None).await?;
    Ok(Json(TakeoverList { takeovers }))
}

/// Takes a conversation over. The agent rests there, a run of it that is under way comes to nothing, and what the user writes waits for an answer by hand. Done
/// again, the takeover lasts from now on.
#[utoipa::path(put, path = "/users/{user}/takeover", operation_id = "takeOver", tag = "takeovers", params(UserPath), responses((status = 200, body = TakeoverView), (status = 404, description = "The user has no conversation.")))]
pub(super) async fn begin(
    State(admin): State<Admin>,
    administrator: Administrator,
    UserPath { user }: UserPath,
) -> Result<Json<TakeoverView>, Problem> {
    let mut tx = admin.queue.begin(&admin.pg).await?;
    let view = takeovers::begin(&mut tx, &admin.settings, &user, &administrator.name).await?;
    tx.commit().await?;
    Ok(Json(view))
}

/// Answers by hand whatever waits in a conversation that is taken over, where the user wrote last. The same `Idempotency-Key` within a day is the same answer.
#[utoipa::path(post, path = "/users/{user}/answers", operation_id = "answerByHand", tag = "takeovers", params(UserPath, ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[ -~]*$", description = "Makes a second request harmless")), request_body = AnswerRequest, responses((status = 202, body = AnswerByHandView), (status = 404, description = "The user has no conversation."), (status = 409, description = "Nobody has taken the conversation over (`not_taken_over`).")))]
pub(super) async fn answer(
    State(admin): State<Admin>,
    administrator: Administrator,
    UserPath { user }: UserPath,
    headers: HeaderMap,
    input::Json(AnswerRequest { text }): input::Json<AnswerRequest>,
) -> Result<(StatusCode, Json<AnswerByHandView>), Problem> {
    let key = notifications::idempotency_key(&headers)?;
    let key = key.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let mut tx = admin.queue.begin(&admin.pg).await?;
    let view = takeovers::answer(&mut tx, &admin.settings, &user, &administrator.name, &key, &text).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Gives a conversation back to the agent, which answers what waits.
#[utoipa::path(delete, path = "/users/{user}/takeover", operation_id = "giveBack", tag = "takeovers", params(UserPath), responses((status = 204, description = "The agent answers again."), (status = 404, description = "Nobody has taken the conversation over.")))]
pub(super) async fn end(
    State(admin): State<Admin>,
    administrator: Administrator,
    UserPath { user }: UserPath,
) -> Result<StatusCode, Problem> {
    let mut tx = admin.queue.begin(&admin.pg).await?;
    if !takeovers::end(&mut tx, &admin.settings, &user, &administrator.name).await? {
        return Err(Problem::not_found(format!("nobody has taken the conversation of user {user:?} over")));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
