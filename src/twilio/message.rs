//! A message as Twilio's REST API has it.

use serde::{Deserialize, Deserializer};

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct OutboundMessage<'a> {
    /// The person, `whatsapp:…`.
    pub to: &'a str,
    /// Our sender, `whatsapp:+E164`.
    pub from: &'a str,
    /// What is said.
    pub content: MessageContent<'a>,
    /// Where Twilio reports what becomes of it.
    pub status_callback: Option<&'a str>,
    /// Twilio drops it if it is not sent within this many seconds, 1 to 36 000.
    pub validity_period_secs: Option<u32>,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum MessageContent<'a> {
    /// Free text, at most 1600 characters; allowed within 24 hours of the person's last message.
    Text(&'a str),
    /// An approved template.
    Template {
        /// `HX…`
        content_sid: &'a str,
        /// Its variables as a JSON object.
        variables: &'a str,
    },
}

/// A message that Twilio has taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedMessage {
    /// Twilio's id.
    pub sid: String,
    /// Its first status: `queued` or `accepted`.
    pub status: String,
}

/// A file of a message as Twilio lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ListedMedia {
    /// Twilio's id.
    #[serde(default)]
    pub sid: Option<String>,
    /// What its writer says it is.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub content_type: String,
    /// Its path at the API, with `.json` for its description.
    #[serde(default)]
    pub uri: Option<String>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}
