//! `/admin/api/stats`: figures.

use axum::Json;
use axum::extract::State;
use channel::administration::message_stats::{self, MessageStats, USUAL_MONTHS};
use channel::administration::storage::{self, StorageStats};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Admin;
use crate::http::input;
use crate::http::problem::Problem;

/// Of how long.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsQuery {
    /// The running month and those before it, so many at most.
    #[serde(default = "usual_months")]
    #[param(minimum = 1, maximum = 120, default = 12)]
    months: i32,
}

fn usual_months() -> i32 {
    USUAL_MONTHS
}

/// Messages that Twilio accepted, month by month, by what WhatsApp charges for.
#[utoipa::path(get, path = "/stats/messages", operation_id = "messageStats", tag = "stats", params(StatsQuery), responses((status = 200, body = MessageStats)))]
pub(super) async fn messages(
    State(admin): State<Admin>,
    input::Query(query): input::Query<StatsQuery>,
) -> Result<Json<MessageStats>, Problem> {
    let mut conn = admin.pg.acquire().await?;
    Ok(Json(message_stats::read(&mut conn, &admin.settings.costs, query.months).await?))
}

/// What takes how much of the database, since when, and how long it is kept.
#[utoipa::path(get, path = "/stats/storage", operation_id = "storageStats", tag = "stats", responses((status = 200, body = StorageStats)))]
pub(super) async fn storage(State(admin): State<Admin>) -> Result<Json<StorageStats>, Problem> {
    let mut conn = admin.pg.acquire().await?;
    Ok(Json(storage::read(&mut conn, &admin.settings.retention, admin.queue.history()).await?))
}
