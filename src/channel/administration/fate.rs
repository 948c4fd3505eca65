//! What became of what was said to somebody, in short: beside a message or a turn.

use serde::Serialize;
use store::deliveries::DeliveryState;
use store::ids::DeliveryId;
use utoipa::ToSchema;

use super::deliveries::{OutboundView, TwilioErrorView};

/// What became of a delivery.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryFate {
    #[schema(value_type = Uuid)]
    pub id: DeliveryId,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it ended other than well.
    pub reason: Option<String>,
    /// Twilio's error; null: there is none.
    pub error: Option<TwilioErrorView>,
    /// The delivery that sends anew what this one did not.
    #[schema(value_type = Option<Uuid>)]
    pub resent_as: Option<DeliveryId>,
}

impl DeliveryFate {
    /// In short.
    #[must_use]
    pub fn of(delivery: &OutboundView) -> Self {
        Self {
            id: delivery.id,
            state: delivery.state,
            reason: delivery.reason.clone(),
            error: delivery.error().cloned(),
            resent_as: delivery.resent_as,
        }
    }
}
