//! The clock of the Twilio that stands in: like the real one it has its own.

use chrono::{DateTime, Utc};

/// The present moment, as Twilio sees it.
#[expect(
    clippy::disallowed_methods,
    reason = "a Twilio dates its messages by its own clock, not by our database's"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
