//! The webhook of a status change. Twilio adds statuses without notice, so a status is an open word.

use outside::words;

use crate::address;
use crate::inbound::{FormError, is_sid};
use crate::webhook::{VerifiedForm, storable};

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCallback {
    /// Twilio's id of the message.
    pub sid: String,
    /// `queued`, `sending`, `sent`, `delivered`, `read`, `failed`, `undelivered`, or a word that Twilio invented since.
    pub status: String,
    /// Twilio's error code, after a failure.
    pub error_code: Option<i32>,
    /// What Twilio says about it, without phone numbers.
    pub error_message: Option<String>,
    /// The account it belongs to.
    pub account_sid: Option<String>,
}

/// The parameters in which Twilio explains a failure in words.
const EXPLANATIONS: [&str; 2] = ["ErrorMessage", "ChannelStatusMessage"];

impl StatusCallback {
    /// Reads a verified form.
    pub fn parse(form: &VerifiedForm) -> Result<Self, FormError> {
        let sid = ["MessageSid", "SmsSid"]
            .into_iter()
            .find_map(|name| form.filled(name))
            .ok_or(FormError::Missing("MessageSid"))?;
        if !is_sid(sid) {
            return Err(FormError::Malformed("MessageSid"));
        }
        let status = ["MessageStatus", "SmsStatus"]
            .into_iter()
            .find_map(|name| form.filled(name))
            .ok_or(FormError::Missing("MessageStatus"))?;
        let message = EXPLANATIONS.into_iter().find_map(|name| form.filled(name));
        Ok(Self {
            sid: sid.to_owned(),
            status: storable(status),
            error_code: form
                .filled("ErrorCode")
                .and_then(|code| code.trim().parse().ok())
                .filter(|code| *code != 0),
            error_message: message.map(|message| words::of_others(&storable(message), &[])),
            account_sid: form.filled("AccountSid").map(storable),
        })
    }
}

/// Whose message a callback is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Somebody whose number goes with an erasure.
    Known,
    /// Nobody of ours: no erasure would find the number.
    Unknown,
    /// Somebody who has been erased.
    Erased,
}

/// The parameters that name a person.
const NAMES: [&str; 9] = [
    "To",
    "From",
    "ChannelToAddress",
    "ExternalUserId",
    "ParentExternalUserId",
    "ProfileName",
    "ProfileUsername",
    "Username",
    "WaId",
];

/// A callback's parameters as they are kept: Twilio's words quote neither a phone number nor what was `said`, and no more is kept of a person's
/// names than an erasure will find.
#[must_use]
pub fn kept_params(form: &VerifiedForm, person: Person, said: &[&str]) -> serde_json::Value {
    let mut params = form.to_json();
    for name in EXPLANATIONS {
        if let Some(serde_json::Value::String(text)) = params.get_mut(name) {
            *text = words::of_others(text, said);
        }
    }
    if person == Person::Known {
        return params;
    }
    for name in NAMES {
        if let Some(kept) = params.get_mut(name) {
            *kept = match kept.as_str() {
                Some(address) if person == Person::Unknown => address::masked(address).into(),
                _ => serde_json::Value::Null,
            };
        }
    }
    // A parameter that Twilio invents may hold a number, too.
    for value in params.as_object_mut().into_iter().flat_map(|params| params.values_mut()) {
        if let serde_json::Value::String(text) = value {
            *text = words::without_phone_numbers(text);
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{SignatureCheck, UnverifiedRequest};

    fn parse(body: &str) -> Result<StatusCallback, FormError> {
        StatusCallback::parse(&form(body))
    }

    fn form(body: &str) -> VerifiedForm {
        let request = UnverifiedRequest {
            urls: vec![],
            content_type: None,
            signature: None,
            signature_settings: None,
            body: body.as_bytes().to_vec(),
        };
        request.verify(&SignatureCheck::Skipped).unwrap()
    }

    #[test]
    fn a_failure_is_read_with_its_code() {
        let callback = parse(
            "MessageSid=SM1&MessageStatus=undelivered&ErrorCode=63016&ChannelStatusMessage=outside+window",
        )
        .unwrap();

        assert_eq!(
            (callback.error_code, callback.error_message.as_deref()),
            (Some(63016), Some("outside window"))
        );
    }

    #[test]
    fn an_explanation_quotes_neither_a_number_nor_what_was_said() {
        let form = form(
            "MessageSid=SM1&MessageStatus=failed&To=whatsapp%3A%2B15005550100&ErrorMessage=%2B15005550100+refuses+%22Tell+nobody+that%22",
        );

        let callback = StatusCallback::parse(&form).unwrap();
        let (ours, foreign) = (
            kept_params(&form, Person::Known, &["Tell nobody that"]),
            kept_params(&form, Person::Unknown, &[]),
        );

        assert_eq!(callback.error_message.unwrap(), "+…0100 refuses \"Tell nobody that\"");
        assert_eq!(ours["ErrorMessage"], "+…0100 refuses \"[…]\"");
        assert_eq!(
            (&ours["To"], &foreign["To"]),
            (&"whatsapp:+15005550100".into(), &"whatsapp:+1500…0100".into())
        );
        assert_eq!(kept_params(&form, Person::Erased, &[])["To"], serde_json::Value::Null);
    }

    #[test]
    fn a_status_that_nobody_knows_yet_is_kept() {
        assert_eq!(parse("SmsSid=SM1&SmsStatus=teleported").unwrap().status, "teleported");
        assert_eq!(parse("SmsSid=SM1"), Err(FormError::Missing("MessageStatus")));
    }
}
