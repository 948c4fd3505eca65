//! `/v1/users/{user}/usage`: what a user has used of its allowance.

use axum::Json;
use axum::extract::State;
use channel::administration::message_stats::SentView;
use channel::allowance::Allowance;
use channel::app::Settings;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::users::User;
use utoipa::ToSchema;

use super::{Product, UserPath, known_user};
use crate::http::problem::Problem;

/// What a user has used of the running billing period.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageView {
    pub(crate) plan: String,
    pub(crate) whatsapp_sends: SendsView,
    /// All messages to the user in this period that Twilio accepted, metered or not, by what WhatsApp charges for.
    messages: SentView,
    pub(crate) period: PeriodView,
}

/// Metered messages.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SendsView {
    /// Accepted by Twilio.
    pub(crate) used: i32,
    /// Planned, not yet accepted.
    pub(crate) reserved: i32,
    /// Accepted, and failed for good afterwards.
    pub(crate) credited: i32,
    pub(crate) cap: u32,
    pub(crate) remaining: u32,
}

/// A billing period, half-open.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeriodView {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
}

/// What a user has used of the running billing period.
#[utoipa::path(get, path = "/users/{user}/usage", operation_id = "getUsage", tag = "users", params(UserPath), responses((status = 200, body = UsageView), (status = 404, description = "There is no such user.")))]
pub(super) async fn get(
    State(product): State<Product>,
    UserPath { user: id }: UserPath,
) -> Result<Json<UsageView>, Problem> {
    let mut conn = product.pg.acquire().await?;
    let user = known_user(&mut conn, &id).await?;
    Ok(Json(view(&mut conn, &product.settings, &user).await?))
}

/// What a user has used, as the interface and the command line show it.
pub(super) async fn view(
    conn: &mut PgConnection,
    settings: &Settings,
    user: &User,
) -> sqlx::Result<UsageView> {
    let period = user.anchor.period(store::clock::now(conn).await?);
    let usage = store::allowances::usage(conn, &user.id, period).await?;
    let allowance = Allowance::of(settings, user, usage);
    let sent = store::sent_messages::of_user(conn, &user.id, period).await?;
    Ok(UsageView {
        plan: settings.plans.of(&user.plan).name.clone(),
        whatsapp_sends: SendsView {
            used: usage.used,
            reserved: usage.reserved,
            credited: usage.credited,
            cap: allowance.cap,
            remaining: allowance.remaining(),
        },
        messages: SentView::from(&sent),
        period: PeriodView { start: period.start, end: period.end },
    })
}
