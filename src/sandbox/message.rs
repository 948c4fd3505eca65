//! A message as Twilio keeps it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A message, inbound or outbound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxMessage {
    /// `SM` and 32 hex digits; `MM` and 32 hex digits for an outbound message with media.
    pub sid: String,
    /// `inbound`, `outbound-api`, or `outbound-reply` for what a webhook's answer made Twilio say.
    pub direction: String,
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Its text.
    pub body: String,
    /// `accepted`, `scheduled`, `queued`, `sent`, `delivered`, `read`, `undelivered`, `canceled`, `received`.
    pub status: String,
    /// Why it failed.
    pub error_code: Option<i32>,
    /// Where its statuses are reported.
    pub status_callback: Option<String>,
    /// The template it was made from.
    pub content_sid: Option<String>,
    /// The template's variables.
    pub content_variables: Option<String>,
    /// Its picture or file; WhatsApp carries one. Of an inbound message, as its webhook gave it.
    #[serde(default)]
    pub media_url: Option<String>,
    /// The Messaging Service that it was sent by.
    #[serde(default)]
    pub messaging_service_sid: Option<String>,
    /// When it shall leave; `None`: at once.
    #[serde(default)]
    pub send_at: Option<DateTime<Utc>>,
    /// The validity that was asked for, in seconds.
    pub validity_period: Option<u32>,
    /// When it was taken in.
    pub created_at: DateTime<Utc>,
    /// When its status last changed.
    pub updated_at: DateTime<Utc>,
    /// When it left.
    pub sent_at: Option<DateTime<Utc>>,
    /// When the person was last shown that it was read and is being answered.
    #[serde(default)]
    pub typing_at: Option<DateTime<Utc>>,
    /// The account deleted it: Twilio's routes show it no more. It stays here, since a person has read it all the same.
    #[serde(default)]
    pub deleted: bool,
    /// What a phone shows of it beside text and file, under Twilio's names: `Latitude`, `ButtonText` and the like of an inbound message,
    /// `PersistentAction` of an outbound one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

impl SandboxMessage {
    /// Whether a person wrote it.
    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.direction == "inbound"
    }

    /// Whether its status will not change any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self.status.as_str(),
            "delivered" | "read" | "undelivered" | "failed" | "received" | "canceled"
        )
    }

    /// Twilio's JSON of it.
    pub(crate) fn resource(&self, account_sid: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account_sid}/Messages/{}", self.sid);
        // A Messaging Service chooses the sender when the message leaves.
        let is_unsent = matches!(self.status.as_str(), "accepted" | "scheduled" | "canceled");
        let from = Some(&self.from).filter(|_| self.messaging_service_sid.is_none() || !is_unsent);
        json!({
            "account_sid": account_sid,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": rfc2822(self.created_at),
            "date_sent": self.sent_at.map(rfc2822),
            "date_updated": rfc2822(self.updated_at),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": null,
            "from": from,
            "messaging_service_sid": self.messaging_service_sid,
            "num_media": if self.media_url.is_some() { "1" } else { "0" },
            "num_segments": "1",
            "price": null,
            "price_unit": null,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": format!("{uri}/Media.json")},
            "to": self.to,
            "uri": format!("{uri}.json"),
        })
    }
}

/// `Mon, 23 Nov 2026 15:04:05 +0000`: Twilio's dates have whole seconds.
pub(crate) fn rfc2822(date: DateTime<Utc>) -> String {
    date.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
