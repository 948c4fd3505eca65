//! The webhook of an inbound message.

use crate::address::is_number;
use crate::listed::ListedMessage;
use crate::webhook::{VerifiedForm, storable};

/// Twilio's ids have 34 characters; nothing that is much longer is one.
const SID_LIMIT: usize = 64;

/// Where a payload may stand: of a button, and of a row of a list.
pub const PAYLOADS: [&str; 2] = ["ButtonPayload", "ListId"];

/// An inbound message as Twilio describes it. Only [`InboundMessage::sid`] and [`InboundMessage::from`] are always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundMessage {
    /// Twilio's id, `SM…` or `MM…`: what makes a message the same message.
    pub sid: String,
    /// Who wrote it, `whatsapp:+E164`, or `whatsapp:` and an opaque id for a person who hides the number.
    pub from: String,
    /// Its text; empty for media and locations.
    pub body: String,
    /// The account it belongs to.
    pub account_sid: Option<String>,
    /// The sender of ours that it was written to.
    pub to: Option<String>,
    /// The opaque id of who wrote it, also when the number shows. Twilio's other ids and names of a person (`ParentExternalUserId`, `Username`,
    /// `ProfileUsername`) do not tell who somebody is.
    pub external_user_id: Option<String>,
    /// Twilio took it for a keyword and has answered it already.
    pub opt_out_type: Option<OptOutType>,
    /// What is behind a pressed button, or a row that was chosen from a list; what is written on it comes as the body.
    pub payload: Option<String>,
    /// How many attachments it has.
    pub media: usize,
}

/// What Twilio's own handling of opt-outs took a message for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptOutType {
    /// The person wants nothing more.
    Stop,
    /// The person wants messages again.
    Start,
    /// The person was told what there is to know.
    Help,
    /// Something that Twilio's documentation does not name.
    Other(String),
}

impl OptOutType {
    fn of(value: &str) -> Self {
        match value.trim().to_ascii_uppercase().as_str() {
            "STOP" => Self::Stop,
            "START" => Self::Start,
            "HELP" => Self::Help,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Why a form is no inbound message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A parameter must be there.
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    /// A parameter is not what it must be.
    #[error("the parameter {0} is malformed")]
    Malformed(&'static str),
}

impl InboundMessage {
    /// Reads a verified form.
    pub fn parse(form: &VerifiedForm) -> Result<Self, FormError> {
        let (name, sid) = ["MessageSid", "SmsMessageSid", "SmsSid"]
            .into_iter()
            .find_map(|name| Some((name, form.filled(name)?)))
            .ok_or(FormError::Missing("MessageSid"))?;
        if !is_sid(sid) {
            return Err(FormError::Malformed(name));
        }
        let from = form.filled("From").ok_or(FormError::Missing("From"))?;
        let owned = |name: &str| form.filled(name).map(storable);
        Ok(Self {
            sid: sid.to_owned(),
            from: whatsapp_address(from).or_else(|| bare_id(from)).ok_or(FormError::Malformed("From"))?,
            body: storable(form.get("Body").unwrap_or_default()),
            account_sid: owned("AccountSid"),
            to: owned("To"),
            external_user_id: form.filled("ExternalUserId").and_then(opaque_id),
            opt_out_type: owned("OptOutType").as_deref().map(OptOutType::of),
            payload: PAYLOADS.into_iter().find_map(owned),
            media: form.filled("NumMedia").and_then(|number| number.parse().ok()).unwrap_or(0),
        })
    }
}

impl InboundMessage {
    /// The message as Twilio's list has it, which tells less than a webhook. `None`: it is no WhatsApp message.
    #[must_use]
    pub fn listed(message: &ListedMessage) -> Option<Self> {
        Some(Self {
            sid: message.sid.clone(),
            from: whatsapp_address(&message.from)?,
            body: storable(&message.body),
            account_sid: None,
            to: Some(message.to.clone()),
            external_user_id: None,
            opt_out_type: None,
            payload: None,
            media: 0,
        })
    }
}

/// Whether Twilio could have given this id.
pub(crate) fn is_sid(sid: &str) -> bool {
    (1..=SID_LIMIT).contains(&sid.len()) && sid.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// An address on WhatsApp. What stands behind the prefix is opaque: a number, or an id.
fn whatsapp_address(text: &str) -> Option<String> {
    let name = text.strip_prefix("whatsapp:")?;
    let valid = (1..=200).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    valid.then(|| text.to_owned())
}

/// The field for an id, with or without the prefix. A number in it would be no id, and is not taken for one.
fn opaque_id(text: &str) -> Option<String> {
    whatsapp_address(text).filter(|address| !is_number(address)).or_else(|| bare_id(text))
}

/// An id without its prefix: the two letters of a country, a dot, and what only WhatsApp understands.
fn bare_id(text: &str) -> Option<String> {
    let (country, rest) = text.split_once('.')?;
    let valid = country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    valid.then(|| whatsapp_address(&format!("whatsapp:{text}"))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{SignatureCheck, UnverifiedRequest};

    fn parse(body: &str) -> Result<InboundMessage, FormError> {
        let request = UnverifiedRequest {
            urls: vec![],
            content_type: None,
            signature: None,
            signature_settings: None,
            body: body.as_bytes().to_vec(),
        };
        InboundMessage::parse(&request.verify(&SignatureCheck::Skipped).unwrap())
    }

    #[test]
    fn the_least_that_makes_a_message_is_a_writer_and_an_id() {
        for name in ["MessageSid", "SmsMessageSid", "SmsSid"] {
            let message = parse(&format!("From=whatsapp%3A%2B15005550100&{name}=SM1")).unwrap();

            assert_eq!(
                (message.sid.as_str(), message.from.as_str(), message.body.as_str()),
                ("SM1", "whatsapp:+15005550100", "")
            );
        }
    }

    #[test]
    fn a_person_who_hides_the_number_is_a_writer_too() {
        let message = parse(
            "From=whatsapp%3AUS.abcDEF123&ExternalUserId=whatsapp%3AUS.abcDEF123&MessageSid=SM1&Body=hi",
        )
        .unwrap();

        assert_eq!(message.from, "whatsapp:US.abcDEF123");
        assert_eq!(message.external_user_id.as_deref(), Some("whatsapp:US.abcDEF123"));
    }

    #[test]
    fn an_id_is_taken_with_and_without_its_prefix_and_no_other_field_is_one() {
        let from = "From=whatsapp%3A%2B15005550100&MessageSid=SM1&ParentExternalUserId=US.ENT.parent1&ProfileUsername=alice&Username=alice";
        for (field, expected) in [
            ("whatsapp%3AUS.abc1", Some("whatsapp:US.abc1")),
            ("US.abc1", Some("whatsapp:US.abc1")),
            ("%2B15005550101", None),
            ("whatsapp%3A%2B15005550101", None),
            ("somebody", None),
            ("", None),
        ] {
            let message = parse(&format!("{from}&ExternalUserId={field}")).unwrap();
            assert_eq!(message.external_user_id.as_deref(), expected, "{field}");
        }
        assert_eq!(parse("From=US.abc1&MessageSid=SM1").unwrap().from, "whatsapp:US.abc1");
    }

    #[test]
    fn a_keyword_that_twilio_has_answered_says_so() {
        for (value, expected) in [
            ("STOP", Some(OptOutType::Stop)),
            ("stop", Some(OptOutType::Stop)),
            ("Start", Some(OptOutType::Start)),
            ("+HELP+", Some(OptOutType::Help)),
            ("pause", Some(OptOutType::Other("PAUSE".to_owned()))),
            ("", None),
        ] {
            let form = format!("From=whatsapp%3A%2B15005550100&MessageSid=SM1&Body=arret&OptOutType={value}");

            assert_eq!(parse(&form).unwrap().opt_out_type, expected, "{value}");
        }
    }

    #[test]
    fn what_is_behind_a_button_or_a_row_is_read() {
        let form = "From=whatsapp%3A%2B15005550100&MessageSid=SM1&Body=No+more";
        for (fields, expected) in [
            ("ButtonText=No+more&ButtonPayload=STOP", Some("STOP")),
            ("ButtonText=No+more", None),
            ("ButtonText=No+more&ButtonPayload=", None),
            ("ListTitle=No+more&ListId=stop", Some("stop")),
        ] {
            assert_eq!(parse(&format!("{form}&{fields}")).unwrap().payload.as_deref(), expected, "{fields}");
        }
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        let from = "From=whatsapp%3A%2B15005550100";
        let cases = [
            (from.to_owned(), FormError::Missing("MessageSid")),
            (format!("{from}&MessageSid="), FormError::Missing("MessageSid")),
            (format!("{from}&MessageSid=SM%001"), FormError::Malformed("MessageSid")),
            (format!("{from}&SmsSid=SM-1"), FormError::Malformed("SmsSid")),
            (format!("{from}&MessageSid={}", "S".repeat(65)), FormError::Malformed("MessageSid")),
            ("MessageSid=SM1".to_owned(), FormError::Missing("From")),
            ("MessageSid=SM1&From=%2B15005550100".to_owned(), FormError::Malformed("From")),
            ("MessageSid=SM1&From=whatsapp%3A".to_owned(), FormError::Malformed("From")),
        ];

        for (body, expected) in cases {
            assert_eq!(parse(&body), Err(expected), "{body}");
        }
    }
}
