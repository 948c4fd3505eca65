//! `/v1/users/{user}`: a CloudyBot account, as far as this channel knows it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use channel::app::Settings;
use channel::erasure;
use channel::opt_out;
use channel::{user_attributes, user_times};
use store::deliveries::Obstacle;

use super::user_request::{PeriodAnchor, UserRequest};
use super::user_view::{UserView, view};
use super::{AnyUserPath, Product, UserPath, agents, known_user};
use crate::http::input;
use crate::http::problem::Problem;

/// Pages of an erasure that its request waits for: all of a person with some hundred messages.
const PAGES_AT_ONCE: u32 = 20;

/// Creates or changes a user.
#[utoipa::path(put, path = "/users/{user}", operation_id = "putUser", tag = "users", params(UserPath), request_body = Option<UserRequest>, responses((status = 200, body = UserView), (status = 201, body = UserView, description = "The user is new.")))]
pub(super) async fn put(
    State(product): State<Product>,
    UserPath { user: id }: UserPath,
    input::OptionalJson(request): input::OptionalJson<UserRequest>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let settings = &product.settings;
    let mut tx = product.pg.begin().await?;
    let (mut user, new) = store::users::create_or_lock(&mut tx, &id, &settings.plans.default().name).await?;
    if let Some(plan) = &request.plan {
        user.plan = plan_name(settings, plan)?;
    }
    if let Some(anchor) = request.period_anchor {
        let day = anchor.map(PeriodAnchor::day).transpose()?;
        // A new user has no period that could be cut short.
        user.anchor = if new {
            store::periods::Anchor { day, ..store::periods::Anchor::default() }
        } else {
            user.anchor.set(day, store::clock::now(&mut tx).await?)
        };
    }
    user.paused = request.paused.unwrap_or(user.paused);
    if let Some(timezone) = request.timezone {
        user.timezone = timezone.map(|name| user_times::zone_name(&name)).transpose()?;
    }
    if let Some(hours) = request.quiet_hours {
        user.quiet_hours = hours.map(|hours| (hours.from(), hours.to()));
    }
    if let Some(attributes) = request.attributes {
        let attributes = attributes.unwrap_or_default();
        user_attributes::check(&attributes)
            .map_err(|wrong| Problem::invalid(format!("attributes{wrong}")))?;
        user.attributes = attributes;
    }
    store::users::update(&mut tx, &user).await?;
    if let Some(agent) = request.agent {
        agents::put(&mut tx, settings, &user.id, agent).await?;
    }
    let view = view(&mut tx, settings, user).await?;
    tx.commit().await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(view)))
}

/// The name of a plan as the configuration has it.
pub(crate) fn plan_name(settings: &Settings, plan: &str) -> Result<String, Problem> {
    let known = || settings.plans.all().iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>().join(", ");
    settings
        .plans
        .find(plan)
        .map(|plan| plan.name.clone())
        .ok_or_else(|| Problem::invalid(format!("plan: {plan:?} is none; the plans are {}", known())))
}

/// All we know of a user.
#[utoipa::path(get, path = "/users/{user}", operation_id = "getUser", tag = "users", params(UserPath), responses((status = 200, body = UserView), (status = 404, description = "There is no such user.")))]
pub(super) async fn get(
    State(product): State<Product>,
    UserPath { user: id }: UserPath,
) -> Result<Json<UserView>, Problem> {
    let mut conn = product.pg.acquire().await?;
    let user = known_user(&mut conn, &id).await?;
    Ok(Json(view(&mut conn, &product.settings, user).await?))
}

/// Forgets a user: bodies and numbers go, a keyed hash stays as the proof of an opt-out. Once it is answered nothing can undo it. What stayed here of a user
/// who has moved to another cell is forgotten, too.
#[utoipa::path(delete, path = "/users/{user}", operation_id = "eraseUser", tag = "users", params(UserPath), responses((status = 204, description = "Nothing is left"), (status = 202, description = "The user is unknown from now on; a long thread is still being emptied, which goes on by itself"), (status = 404, description = "There is no such user."), (status = 421, description = "The request's Host is none of this service.")))]
pub(super) async fn erase(
    State(product): State<Product>,
    AnyUserPath { user: id }: AnyUserPath,
) -> Result<StatusCode, Problem> {
    let mut tx = product.queue.begin(&product.pg).await?;
    let user = known_user(&mut tx, &id).await?;
    channel::erasure::begin(&mut tx, &product.settings.secret_keys, &user.id).await?;
    tx.commit().await?;
    tracing::info!(user.id = user.id.as_str(), "Erased a user");
    // Most people are done with in a few pages. The rest is the job's, which the upkeep enqueues if this process dies here.
    for _ in 0..PAGES_AT_ONCE {
        if !erasure::page_of(&product.pg, &user.id).await? {
            break;
        }
    }
    let left = store::erasure::is_due(&mut *product.pg.acquire().await?, Some(&user.id)).await?;
    if left {
        let mut tx = product.queue.begin(&product.pg).await?;
        erasure::enqueue(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(if left { StatusCode::ACCEPTED } else { StatusCode::NO_CONTENT })
}

/// Opts a user out of scheduled and proactive messages; only START or a claim from the phone lifts that.
#[utoipa::path(put, path = "/users/{user}/opt-out", operation_id = "optOutUser", tag = "users", params(UserPath), responses((status = 204, description = "The user is opted out."), (status = 404, description = "There is no such user."), (status = 409, description = "The user has no phone that could be opted out (`not_linked`).")))]
pub(super) async fn opt_out(
    State(product): State<Product>,
    UserPath { user: id }: UserPath,
) -> Result<StatusCode, Problem> {
    let keys = &product.settings.secret_keys;
    let mut tx = product.pg.begin().await?;
    let user = known_user(&mut tx, &id).await?;
    opt_out::opt_out_user(&mut tx, keys, &user.id).await?.ok_or_else(no_phone)?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 409: nobody can be opted out.
pub(crate) fn no_phone() -> Problem {
    Problem::conflict(Obstacle::NotLinked.as_str(), "the user has no phone that could be opted out")
}
