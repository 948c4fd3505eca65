//! `/admin/api/unusable-entries`: what Twilio lists and nobody could take in.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::ids::UnusableEntryId;
use store::unusable_entries::EntryAside;
use utoipa::ToSchema;

use super::Admin;
use crate::http::problem::Problem;

/// What is kept aside.
#[derive(Serialize, ToSchema)]
pub(super) struct UnusableEntryList {
    entries: Vec<UnusableEntryView>,
}

/// An entry of Twilio's list of inbound messages that could not be taken in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UnusableEntryView {
    #[schema(value_type = i64)]
    id: UnusableEntryId,
    /// Twilio's id; null: it cannot be read.
    sid: Option<String>,
    /// What is wrong with it.
    reason: String,
    /// When the message was written; null: Twilio does not say.
    listed_at: Option<DateTime<Utc>>,
    /// How many rounds have met it.
    times: i32,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
}

impl From<EntryAside> for UnusableEntryView {
    fn from(entry: EntryAside) -> Self {
        let EntryAside { id, sid, reason, listed_at, times, first_seen_at, last_seen_at, .. } = entry;
        Self { id, sid, reason, listed_at, times, first_seen_at, last_seen_at }
    }
}

/// What Twilio lists and nobody could take in, the newest first, at most 200. The message itself can be looked at in Twilio's console.
#[utoipa::path(get, path = "/unusable-entries", operation_id = "listUnusableEntries", tag = "messages", responses((status = 200, body = UnusableEntryList)))]
pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<UnusableEntryList>, Problem> {
    let entries = store::unusable_entries::open(&mut *admin.pg.acquire().await?).await?;
    Ok(Json(UnusableEntryList { entries: entries.into_iter().map(UnusableEntryView::from).collect() }))
}
