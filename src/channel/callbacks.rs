//! What the product is told: what becomes of deliveries, and what people agree to and take back. Triggers of the database enqueue it in the
//! transaction of each change (`channel_tell_product` in `migrations/functions.sql`), so that no change is forgotten whoever makes it, and each has a
//! lane of its delivery or user, so that it arrives in order.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::chunks::ChunkState;
use store::consents::{ConsentAction, ConsentMethod, Deed};
use store::deliveries::{ChunkSummary, DeliveryState, Purpose};
use store::ids::{DeliveryId, UserId};

use crate::app::Settings;
use crate::kinds::PostCallback;

/// What is posted.
#[derive(Debug, Serialize)]
pub struct CallbackPost {
    /// The same as the header `webhook-id`: what has an id that was seen is a repeat.
    pub id: String,
    /// Of what is about the same delivery or user, what has a higher number came later.
    pub sequence: i64,
    #[serde(flatten)]
    event: Event,
}

/// What has happened.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
enum Event {
    /// A delivery has come to a state.
    #[serde(rename = "delivery")]
    Delivery {
        /// The state that it came to.
        state: DeliveryNews,
        /// All of it, as it stands now.
        delivery: DeliveryReport,
    },
    /// A user agreed to something or took it back.
    #[serde(rename = "consent")]
    Consent {
        /// What the user did.
        consent: ConsentReport,
    },
}

/// A state of a delivery, or that all of it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryNews {
    /// A state.
    State(DeliveryState),
    /// The person has seen all of it.
    Read,
}

impl DeliveryNews {
    fn as_str(self) -> &'static str {
        match self {
            Self::State(state) => state.as_str(),
            Self::Read => ChunkState::Read.as_str(),
        }
    }
}

impl Serialize for DeliveryNews {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A delivery as `GET /v1/deliveries/{id}` shows it, with its user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryReport {
    id: DeliveryId,
    user: UserId,
    purpose: Purpose,
    state: DeliveryState,
    reason: Option<String>,
    expires_at: DateTime<Utc>,
    waits_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    resent_from: Option<DeliveryId>,
    chunks: Vec<ChunkReport>,
}

/// One WhatsApp message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChunkReport {
    index: i32,
    state: ChunkState,
    sid: Option<String>,
    error_code: Option<i32>,
    meter_proactive: bool,
    #[serde(rename = "proactive")]
    has_footer: bool,
}

impl From<ChunkSummary> for ChunkReport {
    fn from(chunk: ChunkSummary) -> Self {
        let ChunkSummary { index, state, sid, error_code, meter_proactive, has_footer, .. } = chunk;
        Self { index, state, sid, error_code, meter_proactive, has_footer }
    }
}

/// What a user agreed to or took back, and what holds now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConsentReport {
    user: UserId,
    action: ConsentAction,
    method: ConsentMethod,
    at: DateTime<Utc>,
    /// Whether the user wants nothing of our own accord, now.
    opted_out: bool,
    /// Whether the user has a phone, now.
    linked: bool,
}

/// What is posted for a job; `None`: what it is about is gone, or no user's.
pub async fn post(
    conn: &mut PgConnection,
    settings: &Settings,
    job: &PostCallback,
    id: String,
    sequence: i64,
) -> sqlx::Result<Option<CallbackPost>> {
    let event = match job {
        PostCallback::Delivery { delivery, state } => {
            let state = match state.parse() {
                Ok(state) => DeliveryNews::State(state),
                Err(_) => DeliveryNews::Read,
            };
            let report = delivery_report(conn, *delivery).await?;
            report.map(|delivery| Event::Delivery { state, delivery })
        }
        PostCallback::Consent { consent } => {
            consent_report(conn, settings, *consent).await?.map(|consent| Event::Consent { consent })
        }
    };
    Ok(event.map(|event| CallbackPost { id, sequence, event }))
}

async fn delivery_report(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Option<DeliveryReport>> {
    let Some(delivery) = store::deliveries::get(conn, id).await? else { return Ok(None) };
    let Some(user) = store::deliveries::user_of(conn, id).await? else { return Ok(None) };
    let chunks = store::deliveries::chunks(conn, id).await?;
    Ok(Some(DeliveryReport {
        id,
        user,
        purpose: delivery.purpose,
        state: delivery.state,
        reason: delivery.reason,
        expires_at: delivery.expires_at,
        waits_until: delivery.waits_until,
        created_at: delivery.created_at,
        resent_from: delivery.resent_from,
        chunks: chunks.into_iter().map(ChunkReport::from).collect(),
    }))
}

async fn consent_report(
    conn: &mut PgConnection,
    settings: &Settings,
    id: i64,
) -> sqlx::Result<Option<ConsentReport>> {
    let Some(deed) = store::consents::deed(conn, id).await? else { return Ok(None) };
    let Deed { user_id: user, method, action, created_at: at } = deed;
    let link = store::links::of_user(conn, &user).await?;
    let opted_out = match &link {
        None => store::opt_outs::exists_for_user(conn, &user).await?,
        Some(link) => {
            let names = store::addresses::names(conn, link.address_id).await?;
            store::opt_outs::exists(conn, &settings.secret_keys, &names).await?
        }
    };
    Ok(Some(ConsentReport { user, action, method, at, opted_out, linked: link.is_some() }))
}
