//! `/admin/api/users`: looking for users, and all that is known of one.

use axum::Json;
use axum::extract::State;
use channel::administration::users::{self, UserPage, WantedUsers};
use serde::Deserialize;
use store::ids::UserId;
use utoipa::IntoParams;

use super::Admin;
use crate::http::input;
use crate::http::problem::Problem;
use crate::http::product::UserPath;
use crate::http::product::user_view::{UserView, view};

/// Which users: all, or those that one of `id`, `plan`, `name` and `phone` names.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersQuery {
    /// How many at most.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: i64,
    /// Behind this id: `next` of the page before.
    #[param(min_length = 1, max_length = 200)]
    after: Option<String>,
    /// The id begins with this.
    #[param(min_length = 1, max_length = 200)]
    id: Option<String>,
    /// They are on this plan.
    #[param(min_length = 1, max_length = 200)]
    plan: Option<String>,
    /// The attribute `name` begins with this, in small or large letters; there is no next page.
    #[param(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Their phone has this number or opaque id now, in any spelling.
    #[param(min_length = 1, max_length = 200)]
    phone: Option<String>,
}

fn usual_limit() -> i64 {
    50
}

/// Users, by the beginning of the id, by plan, by name or by number.
#[utoipa::path(get, path = "/users", operation_id = "listUsers", tag = "users", params(UsersQuery), responses((status = 200, body = UserPage)))]
pub(super) async fn list(
    State(admin): State<Admin>,
    input::Query(query): input::Query<UsersQuery>,
) -> Result<Json<UserPage>, Problem> {
    let UsersQuery { limit, after, id, plan, name, phone } = query;
    let wanted = WantedUsers { id, plan, name, phone };
    let after = after.map(UserId::try_from).transpose();
    let after = after.map_err(|wrong| Problem::invalid(format!("after: {wrong}")))?;
    let mut conn = admin.pg.acquire().await?;
    Ok(Json(users::list(&mut conn, wanted, after.as_ref(), limit).await?))
}

/// All we know of a user, as the product sees it.
#[utoipa::path(get, path = "/users/{user}", operation_id = "showUser", tag = "users", params(UserPath), responses((status = 200, body = UserView), (status = 404, description = "There is no such user.")))]
pub(super) async fn show(
    State(admin): State<Admin>,
    UserPath { user: id }: UserPath,
) -> Result<Json<UserView>, Problem> {
    let mut conn = admin.pg.acquire().await?;
    let user = store::users::get(&mut conn, &id).await?;
    let user = user.ok_or_else(|| Problem::not_found(format!("user {id:?} is not known here")))?;
    Ok(Json(view(&mut conn, &admin.settings, user).await?))
}
