//! The user's own time zone and quiet hours.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use channel::user_times;
use serde::Deserialize;

use super::Dashboard;
use super::cookie_jar::Kept;
use super::entrance::Visitor;
use super::failure::Failed;

/// What the form brings; blank is none.
#[derive(Deserialize)]
pub(super) struct Times {
    timezone: String,
    from: String,
    to: String,
}

/// Changes them by the same rule as the product's interface.
pub(super) async fn change(
    State(dashboard): State<Dashboard>,
    Extension(Visitor(user)): Extension<Visitor>,
    headers: HeaderMap,
    Form(times): Form<Times>,
) -> Result<Response, Failed> {
    let mut tx = dashboard.product.pg.begin().await?;
    let mut user = store::users::lock(&mut tx, &user).await?.ok_or_else(Failed::unknown)?;
    user_times::set(&mut user, &times.timezone, &times.from, &times.to)
        .map_err(|wrong| Failed::invalid(format!("Nothing was changed: {wrong}.")))?;
    store::users::update(&mut tx, &user).await?;
    tx.commit().await?;
    let mut response = Redirect::to("/dashboard#times").into_response();
    let said = "Your times are saved.";
    response.headers_mut().extend(dashboard.cookies.set(&headers, Kept::Said, said));
    Ok(response)
}
