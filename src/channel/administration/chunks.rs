//! The parts of what left, each a message of Twilio's, for an administrator.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::chunk_place::ChunkPlace;
use store::chunk_search::{self, ChunkSearch};
use store::chunks::ChunkState;
use store::deliveries::Purpose;
use store::delivery_records;
use store::ids::{DeliveryId, UserId};
use utoipa::ToSchema;

use super::deliveries::{ListError, OutboundChunkView};
use super::people;

/// Which chunks; what is `None` does not narrow.
#[derive(Clone, Debug, Default)]
pub struct ChunkFilter {
    /// Of this user.
    pub user: Option<UserId>,
    /// To this number, in any spelling.
    pub number: Option<String>,
    /// In this state.
    pub state: Option<ChunkState>,
    /// With this code of Twilio's.
    pub error_code: Option<i32>,
    /// Planned at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Planned before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Older than this one.
    pub before: Option<ChunkPlace>,
}

/// A page of chunks.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChunkList {
    /// The newest delivery's first, in each from the last to the first.
    pub chunks: Vec<ListedChunk>,
    /// `before` of the next page; null: there is none. Where it is set beside fewer chunks than were asked for, not all older ones were looked at.
    pub next: Option<String>,
}

/// A part of a delivery, with whose it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedChunk {
    /// The delivery that it is a part of.
    #[schema(value_type = Uuid)]
    pub delivery: DeliveryId,
    /// Whose; null: nobody's, or the user was erased.
    #[schema(value_type = Option<String>)]
    pub user: Option<UserId>,
    /// To which number, without its middle; null: there is none any more.
    pub to: Option<String>,
    /// Why it is sent.
    pub purpose: Purpose,
    /// When its delivery was planned.
    pub planned_at: DateTime<Utc>,
    #[serde(flatten)]
    pub chunk: OutboundChunkView,
}

/// The newest chunks that fit.
pub async fn list(conn: &mut PgConnection, filter: &ChunkFilter, limit: i64) -> Result<ChunkList, ListError> {
    let whose = people::whose_deliveries(conn, filter.user.as_ref(), filter.number.as_deref()).await?;
    let ChunkFilter { state, error_code, since, until, before, .. } = *filter;
    let search = ChunkSearch { whose, state, error_code, since, until, before, limit };
    let page = chunk_search::page(conn, &search).await?;
    let records = delivery_records::chunks_by_id(conn, &page.ids).await?;
    let mut of: Vec<DeliveryId> = records.iter().map(|record| record.delivery_id).collect();
    of.dedup();
    let deliveries = delivery_records::deliveries(conn, &of).await?;
    let view = |record: delivery_records::ChunkRecord| {
        let delivery = deliveries.iter().find(|delivery| delivery.id == record.delivery_id)?;
        Some(ListedChunk {
            delivery: delivery.id,
            user: delivery.user_id.clone(),
            to: delivery.address.as_deref().map(twilio::address::masked),
            purpose: delivery.purpose,
            planned_at: delivery.created_at,
            chunk: record.into(),
        })
    };
    let chunks = records.into_iter().filter_map(view).collect();
    Ok(ChunkList { chunks, next: page.next.map(|next| next.to_string()) })
}
