//! `/v1/users/{user}/whatsapp`: a user claims a phone, and lets it go.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use channel::inbound::claims;
use channel::texts;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Product, UserPath, claim_link, known_user};
use crate::http::input;
use crate::http::problem::Problem;

/// How a phone is claimed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ClaimRequest {
    /// Takes the number even from another user who has it.
    replace: Option<bool>,
}

/// A token for a phone; whoever sends it is linked to the user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimView {
    /// `LINK-XXXX-XXXX`, to be sent from the phone as a message.
    token: String,
    /// Worth nothing from then on.
    expires_at: DateTime<Utc>,
    /// Opens WhatsApp with the token ready to be sent.
    link: String,
    /// The link as a QR code, an SVG document.
    qr_svg: String,
    /// What must be shown beside it: by sending the token the user agrees to this.
    consent_text: &'static str,
}

/// Hands out a claim token; the one before it is voided.
#[utoipa::path(post, path = "/users/{user}/whatsapp/claims", operation_id = "claimWhatsapp", tag = "users", params(UserPath), request_body = Option<ClaimRequest>, responses((status = 201, body = ClaimView), (status = 403, description = "WhatsApp is closed for everybody (`disabled`), or not part of the user's plan (`plan`)."), (status = 404, description = "There is no such user."), (status = 409, description = "The phone that sent the last token is linked to another user (`number_linked_elsewhere`); say whether to replace that.")))]
pub(super) async fn create(
    State(product): State<Product>,
    UserPath { user }: UserPath,
    input::OptionalJson(request): input::OptionalJson<ClaimRequest>,
) -> Result<(StatusCode, Json<ClaimView>), Problem> {
    let settings = &product.settings;
    let mut tx = product.pg.begin().await?;
    let user = known_user(&mut tx, &user).await?;
    let (token, expires_at) = claims::ask(&mut tx, settings, &user, request.replace).await?;
    tx.commit().await?;
    let link = claim_link::link(&settings.whatsapp_number, &token);
    let qr_svg = claim_link::qr_svg(&link);
    let view = ClaimView { token: token.to_text(), expires_at, link, qr_svg, consent_text: texts::CONSENT };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Unlinks the user's phone; what is still to be sent to it is cancelled. An opt-out stays.
#[utoipa::path(delete, path = "/users/{user}/whatsapp", operation_id = "unlinkWhatsapp", tag = "users", params(UserPath), responses((status = 204, description = "No phone is linked any more."), (status = 404, description = "There is no such user.")))]
pub(super) async fn unlink(
    State(product): State<Product>,
    UserPath { user }: UserPath,
) -> Result<StatusCode, Problem> {
    let mut tx = product.pg.begin().await?;
    let user = known_user(&mut tx, &user).await?;
    claims::unlink(&mut tx, &product.settings, &user.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
