//! `/v1`: what the product's dashboard and its internal workflows do.

mod agents;
pub(crate) mod claim_link;
mod claims;
mod dashboard_link;
mod deliveries;
pub(crate) mod messages;
pub(crate) mod notifications;
mod plans;
pub(crate) mod thread_stream;
pub(crate) mod threads;
pub(crate) mod usage;
mod user_request;
pub(crate) mod user_view;
pub(crate) mod users;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use channel::app::Settings;
use channel::cells;
use queue::Queue;
use queue::connections::Connections;
use sqlx::PgConnection;
use store::ids::UserId;
use store::users::User;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::bearer::BearerTokens;
use super::input;
use super::openapi;
use super::problem::Problem;

/// What these routes need. Their connections are their own: a busy dashboard costs no webhook.
#[derive(Clone)]
pub(crate) struct Product {
    pub(crate) pg: Connections,
    pub(crate) queue: Queue,
    pub(crate) settings: Arc<Settings>,
    /// Who watches which thread.
    pub(crate) threads: threads::Threads,
    /// The origin of the dashboard; `None`: there is none.
    pub(crate) dashboard_url: Option<Arc<str>>,
}

/// The routes, behind the product's token.
pub(crate) fn routes(product: Product, token: BearerTokens) -> serde_json::Result<OpenApiRouter> {
    let routes = OpenApiRouter::new()
        .routes(routes!(users::put, users::get, users::erase))
        .routes(routes!(usage::get))
        .routes(routes!(users::opt_out))
        .routes(routes!(claims::create))
        .routes(routes!(claims::unlink))
        .routes(routes!(dashboard_link::create))
        .routes(routes!(messages::write, messages::list))
        .routes(routes!(messages::events))
        .routes(routes!(notifications::create))
        .routes(routes!(deliveries::get))
        .routes(routes!(deliveries::cancel))
        .routes(routes!(plans::list))
        .with_state(product);
    openapi::PRODUCT.routes(routes, token)
}

/// Which user of this cell a path is about. A user of another cell is refused, and that cell is named.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct UserPath {
    /// CloudyBot's id: 1 to 200 characters, and no control characters.
    #[param(
        value_type = String,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub(crate) user: UserId,
}

impl<S: KnowsUsers + Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let AnyUserPath { user } = AnyUserPath::from_request_parts(parts, state).await?;
        cells::check(&mut *state.pg().acquire().await?, &user).await?;
        Ok(Self { user })
    }
}

/// The same, whatever the user's cell: for what is said of the cell, and for forgetting what stayed in this one.
pub(crate) struct AnyUserPath {
    pub(crate) user: UserId,
}

impl<S: Send + Sync> FromRequestParts<S> for AnyUserPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let input::Path(text) = input::Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self { user: text.try_into()? })
    }
}

/// What handlers have where a path names a user.
pub(crate) trait KnowsUsers {
    /// Where this cell's users are looked up.
    fn pg(&self) -> &Connections;
}

impl KnowsUsers for Product {
    fn pg(&self) -> &Connections {
        &self.pg
    }
}

async fn known_user(conn: &mut PgConnection, id: &UserId) -> Result<User, Problem> {
    let user = store::users::get(conn, id).await?;
    user.ok_or_else(Problem::no_such_user)
}
