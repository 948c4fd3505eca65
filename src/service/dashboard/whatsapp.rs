//! Linking a phone, and letting it go.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use channel::inbound::claims;
use serde::Deserialize;

use super::Dashboard;
use super::cookie_jar::Kept;
use super::entrance::Visitor;
use super::failure::Failed;

/// Where the page tells of it.
const CARD: &str = "/dashboard#whatsapp";

/// How a phone is claimed.
#[derive(Deserialize)]
pub(super) struct Claiming {
    /// `yes`: the phone moves here from another account. `no`: another phone will send the code.
    moves: Option<String>,
}

/// Makes a code; the one before it is voided.
pub(super) async fn claim(
    State(dashboard): State<Dashboard>,
    Extension(Visitor(user)): Extension<Visitor>,
    headers: HeaderMap,
    Form(claiming): Form<Claiming>,
) -> Result<Response, Failed> {
    let product = &dashboard.product;
    let mut tx = product.pg.begin().await?;
    let user = store::users::get(&mut tx, &user).await?.ok_or_else(Failed::unknown)?;
    let moves = claiming.moves.as_deref().map(|moves| moves == "yes");
    let (token, _) = claims::ask(&mut tx, &product.settings, &user, moves).await?;
    tx.commit().await?;
    let mut response = Redirect::to(CARD).into_response();
    response.headers_mut().extend(dashboard.cookies.set(&headers, Kept::Claim, &token.to_text()));
    Ok(response)
}

/// Ends the link.
pub(super) async fn unlink(
    State(dashboard): State<Dashboard>,
    Extension(Visitor(user)): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let product = &dashboard.product;
    let mut tx = product.pg.begin().await?;
    claims::unlink(&mut tx, &product.settings, &user).await?;
    tx.commit().await?;
    let mut response = Redirect::to(CARD).into_response();
    let said =
        "The phone is not linked any more. Nothing is sent to it, and what you write there is not answered.";
    response.headers_mut().extend(dashboard.cookies.set(&headers, Kept::Said, said));
    Ok(response)
}
