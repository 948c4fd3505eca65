//! `/admin/api/users/{user}/cell`: users who are served by another deployment.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use channel::cells::{self, MovedUser};
use serde::Deserialize;
use store::ids::CellName;
use utoipa::ToSchema;

use super::Admin;
use crate::config::administrators::Administrator;
use crate::http::input;
use crate::http::problem::Problem;
use crate::http::product::{AnyUserPath, UserPath};

/// Where a user moves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveRequest {
    /// The other cell, by its name or its address: whoever asks here for the user is told this.
    #[schema(min_length = 1, max_length = 100, pattern = "^[!-~]*$")]
    cell: String,
}

/// Says that a user belongs to another cell, also one whom this cell does not know. The user's phone is unlinked here, and what was to be sent to it is
/// cancelled; what was said stays. From then on requests about the user are answered 421 with that cell's name. It may be said again.
#[utoipa::path(put, path = "/users/{user}/cell", operation_id = "moveUser", tag = "users", params(UserPath), request_body = MoveRequest, responses((status = 200, body = MovedUser), (status = 421, description = "The request's Host is none of this service.")))]
pub(super) async fn move_user(
    State(admin): State<Admin>,
    administrator: Administrator,
    AnyUserPath { user }: AnyUserPath,
    input::Json(MoveRequest { cell }): input::Json<MoveRequest>,
) -> Result<Json<MovedUser>, Problem> {
    let cell: CellName = cell.try_into().map_err(|wrong| Problem::invalid(format!("cell: {wrong}")))?;
    let mut tx = admin.pg.begin().await?;
    let moved =
        cells::move_user(&mut tx, &admin.settings.secret_keys, &user, &cell, &administrator.name).await?;
    tx.commit().await?;
    Ok(Json(moved))
}

/// Says that a user belongs here. The phone is to be claimed anew.
#[utoipa::path(delete, path = "/users/{user}/cell", operation_id = "takeUserBack", tag = "users", params(UserPath), responses((status = 204, description = "The user belongs here."), (status = 404, description = "Nobody has said that the user belongs to another cell."), (status = 421, description = "The request's Host is none of this service.")))]
pub(super) async fn take_back(
    State(admin): State<Admin>,
    administrator: Administrator,
    AnyUserPath { user }: AnyUserPath,
) -> Result<StatusCode, Problem> {
    let mut tx = admin.pg.begin().await?;
    if !cells::take_back(&mut tx, &user, &administrator.name).await? {
        return Err(Problem::not_found(format!("user {user:?} is said to be in no other cell")));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
