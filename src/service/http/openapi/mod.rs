//! `/openapi.json`: the interface's description, made from the handlers. What it says of
//! parameters and of the bounds and words of bodies is what requests are held to; patterns, and the names in maps, are checked by the handlers.

/// What a value may be.
mod bounds;
/// What a request may bring.
pub(crate) mod operations;
/// What requests look like.
mod requests;
/// What an operation may answer.
mod responses;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::get;
use axum::{Router, middleware};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use self::operations::Operations;
use super::bearer::{self, BearerTokens};
use super::problem::Problem;

/// No request of this interface needs more.
pub(crate) const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// What the handlers do not say themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "CloudyBot WhatsApp channel",
        description = "Errors are application/problem+json (RFC 9457). A parameter or field that is not described is refused, and so is NUL in any text."
    ),
    tags(
        (name = "users", description = "CloudyBot's accounts, their phones and their plans"),
        (name = "chat", description = "The dashboard's chat: the same thread and agent as on WhatsApp"),
        (name = "deliveries", description = "What is sent of the product's own accord"),
        (name = "status", description = "What needs a person first, who works, what is paused"),
        (name = "jobs", description = "The queue"),
        (name = "schedules", description = "Operators' cron duties"),
        (name = "stats", description = "Figures"),
        (name = "alerts", description = "What a person must look at"),
        (name = "takeovers", description = "Conversations in which a person answers instead of the agent"),
        (name = "turns", description = "Runs of the agent, and the messages that they answer"),
        (name = "messages", description = "Messages that could not be taken in"),
        (name = "chunks", description = "Sends of which nobody knows whether they arrived")
    ),
    components(schemas(Problem)),
    modifiers(&Tokens)
)]
struct Description;

/// A part of the interface with a token of its own.
pub(crate) struct GuardedPart {
    /// What its paths begin with.
    pub(crate) prefix: &'static str,
    /// The token's name in the description.
    pub(crate) scheme: &'static str,
}

/// What the product may do.
pub(crate) const PRODUCT: GuardedPart = GuardedPart { prefix: "/v1", scheme: "apiToken" };

/// What administrators may do.
pub(crate) const ADMIN: GuardedPart = GuardedPart { prefix: "/admin/api", scheme: "adminToken" };

struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        openapi.info.license = None;
        let components = openapi.components.get_or_insert_with(Default::default);
        for (part, says) in [(PRODUCT, "CLOUDYBOT_API_TOKEN"), (ADMIN, "CLOUDYBOT_ADMIN_TOKEN")] {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(says)).build();
            components.add_security_scheme(part.scheme, SecurityScheme::Http(scheme));
        }
        components.responses.extend(responses::shared());
    }
}

impl GuardedPart {
    /// These routes behind a token, each with what all of them have in common: the description of refusals, and the check of what a request brings. A
    /// new handler cannot forget them.
    pub(crate) fn routes(
        &self,
        mut routes: OpenApiRouter,
        token: BearerTokens,
    ) -> serde_json::Result<OpenApiRouter> {
        responses::complete(routes.get_openapi_mut(), self.scheme, self.scheme == ADMIN.scheme);
        let operations = Operations::of(self.prefix, routes.get_openapi())?;
        let routes = routes
            .fallback(async || Problem::not_found("no such path; see /openapi.json"))
            .layer(middleware::from_fn_with_state(operations, operations::check_request))
            .layer(middleware::from_fn_with_state(token, bearer::require));
        Ok(OpenApiRouter::new().nest(self.prefix, routes))
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
