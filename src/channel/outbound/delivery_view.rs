//! A delivery as the product sees it, whether it asks (`GET /v1/deliveries/{id}`) or is told (`[callbacks]`).

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::chunks::ChunkState;
use store::deliveries::{self, ChunkSummary, Delivery, DeliveryState, Obstacle, Purpose};
use store::ids::DeliveryId;
use store::text_enum::description;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

/// A delivery with its chunks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    /// Why it is sent.
    purpose: Purpose,
    /// Where it stands.
    state: DeliveryState,
    #[schema(schema_with = reason_schema)]
    reason: Option<String>,
    expires_at: DateTime<Utc>,
    /// While it waits for the end of quiet hours, or has waited for it: when that is.
    waits_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// The delivery whose failed part, and what came behind it, was sent anew by this one, after a retry by hand.
    #[schema(value_type = Option<Uuid>)]
    resent_from: Option<DeliveryId>,
    chunks: Vec<ChunkView>,
}

/// How the description says what a delivery's `reason` may be.
#[must_use]
pub fn reason_schema() -> Object {
    let says = description::<Obstacle>(
        "Why it ended other than well; null: it did not. What stood in its way has one of these words, and anything else is told in a sentence.",
    );
    let text_or_null = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(text_or_null).description(Some(says)).build()
}

/// One WhatsApp message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChunkView {
    /// From 0.
    index: i32,
    /// Where it stands.
    state: ChunkState,
    /// Twilio's id.
    sid: Option<String>,
    /// Twilio's error.
    error_code: Option<i32>,
    /// Counts against the allowance.
    meter_proactive: bool,
    /// Carries "Reply STOP to unsubscribe."
    #[serde(rename = "proactive")]
    has_footer: bool,
}

impl From<ChunkSummary> for ChunkView {
    fn from(chunk: ChunkSummary) -> Self {
        let ChunkSummary { index, state, sid, error_code, meter_proactive, has_footer, .. } = chunk;
        Self { index, state, sid, error_code, meter_proactive, has_footer }
    }
}

/// A delivery as it stands now.
pub async fn view(conn: &mut PgConnection, delivery: Delivery) -> sqlx::Result<DeliveryView> {
    let chunks = deliveries::chunks(conn, delivery.id).await?;
    Ok(DeliveryView {
        id: delivery.id,
        purpose: delivery.purpose,
        state: delivery.state,
        reason: delivery.reason,
        expires_at: delivery.expires_at,
        waits_until: delivery.waits_until,
        created_at: delivery.created_at,
        resent_from: delivery.resent_from,
        chunks: chunks.into_iter().map(ChunkView::from).collect(),
    })
}
