//! Faults on request. Each is a probability from 0 to 1, or a time; all are off unless set.

use serde::{Deserialize, Serialize};

/// How the sandbox misbehaves. JSON in `PUT /sandbox/faults`; what is left out is off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every create is answered this much later.
    pub delay_ms: u64,
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
    /// A message that was taken in ends as `undelivered` with this code instead of being delivered.
    pub fail_later: f64,
    /// See `fail_later`.
    pub fail_later_code: i32,
    /// A status callback is never sent.
    pub callback_lost: f64,
    /// A status callback is sent twice.
    pub callback_doubled: f64,
    /// The callbacks of a message come in the wrong order.
    pub callback_reordered: f64,
    /// Lists and fetches show a message only so long after it was taken in.
    pub list_lag_ms: u64,
}
