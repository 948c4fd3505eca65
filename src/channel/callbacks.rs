//! What the product is told: what becomes of deliveries, and what people agree to and take back. Triggers of the database enqueue it in the
//! transaction of each change (`channel_tell_product` in `migrations/functions.sql`), so that no change is forgotten whoever makes it, and each has a
//! lane of its delivery or user, so that it arrives in order.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::PgConnection;
use store::chunks::ChunkState;
use store::consents::{ConsentAction, ConsentMethod, Deed};
use store::deliveries::DeliveryState;
use store::ids::{ConsentId, DeliveryId, UserId};
use store::text_enum::UnknownText;

use crate::app::Settings;
use crate::kinds::PostCallback;
use crate::opt_out;
use crate::outbound::delivery_view::{self, DeliveryView};

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

impl FromStr for DeliveryNews {
    type Err = UnknownText;

    fn from_str(text: &str) -> Result<Self, UnknownText> {
        if text == ChunkState::Read.as_str() { Ok(Self::Read) } else { text.parse().map(Self::State) }
    }
}

impl Serialize for DeliveryNews {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::State(state) => state.as_str(),
            Self::Read => ChunkState::Read.as_str(),
        })
    }
}

impl<'de> Deserialize<'de> for DeliveryNews {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A delivery as `GET /v1/deliveries/{id}` shows it, with its user.
#[derive(Debug, Serialize)]
struct DeliveryReport {
    user: UserId,
    #[serde(flatten)]
    delivery: DeliveryView,
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
            let report = delivery_report(conn, *delivery).await?;
            report.map(|delivery| Event::Delivery { state: *state, delivery })
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
    Ok(Some(DeliveryReport { user, delivery: delivery_view::view(conn, delivery).await? }))
}

async fn consent_report(
    conn: &mut PgConnection,
    settings: &Settings,
    id: ConsentId,
) -> sqlx::Result<Option<ConsentReport>> {
    let Some(deed) = store::consents::deed(conn, id).await? else { return Ok(None) };
    let Deed { user_id: user, method, action, created_at: at } = deed;
    let link = store::links::of_user(conn, &user).await?;
    let names = match &link {
        Some(link) => Some(store::addresses::names(conn, link.address_id).await?),
        None => None,
    };
    let opted_out = opt_out::stands(conn, &settings.secret_keys, &user, names.as_deref()).await?;
    Ok(Some(ConsentReport { user, action, method, at, opted_out, linked: link.is_some() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trigger_writes_is_a_state_or_that_it_was_read() {
        let news = |text: &str| serde_json::from_value::<DeliveryNews>(text.into()).ok();

        assert_eq!(news("read"), Some(DeliveryNews::Read));
        assert_eq!(news("blocked"), Some(DeliveryNews::State(DeliveryState::Blocked)));
        assert_eq!(news("lost"), None, "a job with a state that nobody knows gives up by name");
    }
}
