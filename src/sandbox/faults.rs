//! Faults on request. Each is a probability from 0 to 1, or a time; all are off unless set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

/// How the sandbox misbehaves. JSON in `PUT /sandbox/faults`; what is left out is off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every create is answered this much later.
    pub delay_ms: u64,
    /// A create is answered so long after the message was taken in.
    pub answer_after_ms: u64,
    /// A create is turned away with 429 and code 20429.
    pub rate_limited: f64,
    /// The `Retry-After` of that answer, in seconds.
    pub retry_after_secs: Option<u64>,
    /// A create is answered 500 and nothing is taken in.
    pub error_before: f64,
    /// A create is answered 500 although the message was taken in.
    pub error_after: f64,
    /// The connection is closed without an answer and nothing is taken in.
    pub drop_before: f64,
    /// The connection is closed without an answer although the message was taken in.
    pub drop_after: f64,
    /// The message is taken in `accept_late_ms` after the request came, whatever its client does meanwhile; no answer comes before.
    pub accept_late: f64,
    /// See `accept_late`.
    pub accept_late_ms: u64,
    /// A create is refused with this code.
    pub refuse: f64,
    /// See `refuse`.
    pub refuse_code: i32,
    /// See `refuse`; 400 unless set.
    pub refuse_status: Option<u16>,
    /// See `refuse`; what the refusal says.
    pub refuse_message: Option<String>,
    /// A message that was taken in ends as `undelivered` with this code instead of being delivered.
    pub fail_later: f64,
    /// See `fail_later`.
    pub fail_later_code: i32,
    /// A status callback is never sent.
    pub callback_lost: f64,
    /// A status callback is sent twice.
    pub callback_doubled: f64,
    /// The callbacks of a message come in the wrong order, all after its last status.
    pub callback_reordered: f64,
    /// A message that was delivered is read as well. No fault, but on request all the same: people may turn these receipts off.
    pub read: f64,
    /// A create is answered 201 without a SID; the message was taken in.
    pub sid_missing: f64,
    /// A create is answered 201 with the first message that ever went out; the message was taken in all the same.
    pub sid_of_another: f64,
    /// Lists and fetches show no bodies, as of an account with redaction.
    pub redacted: f64,
    /// Lists and fetches show the last digits of people's numbers as X, as of an account with redaction.
    pub masked_numbers: f64,
    /// Lists and fetches show `null` in these fields, which Twilio's description allows in nearly all.
    pub null_fields: Vec<String>,
    /// Lists and fetches show the templates of these SIDs as these texts, with the variables in the place of `{{1}}`, as Twilio's do.
    pub template_texts: BTreeMap<String, String>,
    /// The quick-reply buttons of the templates of these SIDs, which phones show. No fault, but on request all the same.
    pub template_buttons: BTreeMap<String, Vec<TemplateButton>>,
    /// A create to an opaque id is refused with 21211, as for accounts that cannot write to ids.
    pub ids_refused: f64,
    /// Lists file a Mexican number that has two spellings under the shorter one.
    pub filed_short: f64,
    /// Lists and fetches show the message of this SID with this status, whatever became of it.
    pub fixed_status: Option<(String, String)>,
    /// Entries that the first page of every list shows above the messages, as they are given.
    pub list_entries: Vec<serde_json::Value>,
    /// Lists and fetches show a message only so long after it was taken in. The value in force when they are asked counts.
    pub list_lag_ms: u64,
    /// A person's file is not found so long after it was given to `/sandbox/media`. The value in force when it is asked for counts.
    pub media_missing_ms: u64,
    /// Whoever asks for a file is sent to this URL instead of the CDN.
    pub media_redirect: Option<String>,
    /// The CDN serves so many bytes of a file, with zeros behind its own, whatever its real size.
    pub media_size_bytes: Option<u64>,
    /// The CDN serves a file byte by byte, with this pause before each.
    pub media_drip_ms: u64,
    /// A request for a file is answered 500. The CDN is spared.
    pub media_error: f64,
    /// A request for the list of a message's files is answered 500.
    pub media_list_error: f64,
    /// A typing indicator is answered 500 and not shown.
    pub typing_error: f64,
    /// What WhatsApp says of the templates of these SIDs; `null`: the account does not have it. Of any other SID it says that it approved the template
    /// as utility.
    pub approvals: BTreeMap<String, Option<Approval>>,
    /// The account's webhook Rules, as they are given. No fault, but on request all the same.
    pub webhook_rules: Vec<serde_json::Value>,
    /// The account's webhook Settings, likewise.
    pub webhook_settings: Vec<serde_json::Value>,
    /// The Content API and the API of webhook Rules and Settings are answered with this status, as for keys that may not ask them.
    pub configuration_status: Option<u16>,
}

/// What WhatsApp says of a template, in Twilio's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// `UTILITY`, `MARKETING` or `AUTHENTICATION`.
    pub category: String,
    /// `approved`, `rejected`, `paused` and the like.
    pub status: String,
}

/// A quick-reply button of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateButton {
    /// What stands on it: the `ButtonText` of whoever presses it.
    pub title: String,
    /// Its `ButtonPayload`.
    pub id: String,
}

/// Why a set of faults makes no sense.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FaultsError {
    /// A probability below 0 or above 1.
    #[error("{0} is a probability: set it from 0 to 1")]
    Probability(&'static str),
    /// A refusal that is no refusal.
    #[error("{0} must be an error's status, from 400 to 599, and not {1}")]
    ErrorStatus(&'static str, u16),
    /// A redirect to nowhere.
    #[error("media_redirect must be a URL, and not {0:?}")]
    MediaRedirect(String),
}

impl Faults {
    /// Looks for values that make no sense.
    pub fn check(&self) -> Result<(), FaultsError> {
        let probabilities = [
            ("rate_limited", self.rate_limited),
            ("error_before", self.error_before),
            ("error_after", self.error_after),
            ("drop_before", self.drop_before),
            ("drop_after", self.drop_after),
            ("accept_late", self.accept_late),
            ("refuse", self.refuse),
            ("fail_later", self.fail_later),
            ("callback_lost", self.callback_lost),
            ("callback_doubled", self.callback_doubled),
            ("callback_reordered", self.callback_reordered),
            ("read", self.read),
            ("sid_missing", self.sid_missing),
            ("sid_of_another", self.sid_of_another),
            ("redacted", self.redacted),
            ("masked_numbers", self.masked_numbers),
            ("ids_refused", self.ids_refused),
            ("filed_short", self.filed_short),
            ("media_error", self.media_error),
            ("media_list_error", self.media_list_error),
            ("typing_error", self.typing_error),
        ];
        if let Some((name, _)) = probabilities.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(FaultsError::Probability(name));
        }
        for (name, status) in
            [("refuse_status", self.refuse_status), ("configuration_status", self.configuration_status)]
        {
            if let Some(status) = status.filter(|status| !(400..=599).contains(status)) {
                return Err(FaultsError::ErrorStatus(name, status));
            }
        }
        match &self.media_redirect {
            Some(url) if Url::parse(url).is_err() => Err(FaultsError::MediaRedirect(url.clone())),
            _ => Ok(()),
        }
    }
}
