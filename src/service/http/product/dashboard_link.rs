//! `/v1/users/{user}/dashboard-link`: the product opens a user's dashboard.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use channel::dashboard_access;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Product, UserPath};
use crate::http::problem::Problem;

/// A way into a user's dashboard, for the user's browser alone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DashboardLink {
    /// Whoever opens it first is the user there. Lead the user's browser to it, and keep it nowhere.
    url: String,
    /// Not to be opened after this.
    expires_at: DateTime<Utc>,
}

/// Makes a link that opens the user's dashboard, once and within five minutes.
#[utoipa::path(post, path = "/users/{user}/dashboard-link", operation_id = "linkDashboard", tag = "users", params(UserPath), responses((status = 201, body = DashboardLink), (status = 404, description = "There is no such user."), (status = 409, description = "This deployment serves no dashboard (`no_dashboard`).")))]
pub(super) async fn create(
    State(product): State<Product>,
    UserPath { user }: UserPath,
) -> Result<(StatusCode, Json<DashboardLink>), Problem> {
    let Some(origin) = &product.dashboard_url else {
        return Err(Problem::conflict(
            "no_dashboard",
            "this deployment serves no dashboard: the operator sets server.dashboard_listen and dashboard.url",
        ));
    };
    let made = dashboard_access::make_code(&mut *product.pg.acquire().await?, &user).await?;
    let (code, expires_at) = made.ok_or_else(Problem::no_such_user)?;
    let url = format!("{origin}/dashboard?code={}", code.expose());
    Ok((StatusCode::CREATED, Json(DashboardLink { url, expires_at })))
}
