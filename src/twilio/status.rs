//! The webhook of a status change. Twilio adds statuses without notice, so a status is an open word.

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
    /// What Twilio says about it.
    pub error_message: Option<String>,
    /// The account it belongs to.
    pub account_sid: Option<String>,
}

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
        let message = ["ErrorMessage", "ChannelStatusMessage"].into_iter().find_map(|name| form.filled(name));
        Ok(Self {
            sid: sid.to_owned(),
            status: storable(status),
            error_code: form
                .filled("ErrorCode")
                .and_then(|code| code.trim().parse().ok())
                .filter(|code| *code != 0),
            error_message: message.map(storable),
            account_sid: form.filled("AccountSid").map(storable),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{SignatureCheck, UnverifiedRequest};

    fn parse(body: &str) -> Result<StatusCallback, FormError> {
        let request = UnverifiedRequest {
            urls: vec![],
            content_type: None,
            signature: None,
            body: body.as_bytes().to_vec(),
        };
        StatusCallback::parse(&request.verify(&SignatureCheck::Skipped).unwrap())
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
    fn a_status_that_nobody_knows_yet_is_kept() {
        assert_eq!(parse("SmsSid=SM1&SmsStatus=teleported").unwrap().status, "teleported");
        assert_eq!(parse("SmsSid=SM1"), Err(FormError::Missing("MessageStatus")));
    }
}
