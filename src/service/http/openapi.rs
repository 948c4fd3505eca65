//! `/openapi.json`: the interface's description, made from the handlers.

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use super::problem::Problem;

/// No request of this interface needs more.
pub(crate) const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// What the handlers do not say themselves.
#[derive(OpenApi)]
#[openapi(
    info(title = "CloudyBot's WhatsApp channel", description = "Errors are application/problem+json."),
    modifiers(&Tokens),
    security(("token" = []))
)]
struct Description;

struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("/v1 takes CLOUDYBOT_API_TOKEN, /admin/api takes CLOUDYBOT_ADMIN_TOKEN"))
            .build();
        openapi
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The described routes, with their description beside them. It is one text for all connections: as the thousands of values that it is made
/// of, a clone for each would take more memory than all the rest.
pub(crate) fn described(routes: OpenApiRouter) -> serde_json::Result<Router> {
    let (router, description) =
        OpenApiRouter::with_openapi(Description::openapi()).merge(routes).split_for_parts();
    let description = Bytes::from(description.to_json()?);
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], description);
    Ok(router
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .route("/openapi.json", get(answer)))
}
