//! Messages that leave later, which a Messaging Service can (Twilio: "Message Scheduling").

use chrono::{DateTime, TimeDelta, Utc};

use crate::api_error::ApiError;
use crate::clock;

/// How early and how late a message may be scheduled.
const SOONEST: TimeDelta = TimeDelta::seconds(300);
const LATEST: TimeDelta = TimeDelta::days(35);

/// When a message shall leave; `None`: at once.
pub(crate) fn send_at(
    schedule_type: Option<&str>,
    send_at: Option<&str>,
    has_service: bool,
) -> Result<Option<DateTime<Utc>>, ApiError> {
    match schedule_type {
        None => return Ok(None),
        Some("fixed") => {}
        Some(_) => return Err(ApiError::bad(35126, "The ScheduleType must be fixed.")),
    }
    if !has_service {
        return Err(ApiError::bad(35118, "MessagingServiceSid is required to schedule a message."));
    }
    let text = send_at.ok_or_else(|| ApiError::bad(35111, "SendAt is required with a ScheduleType."))?;
    let wrong =
        || ApiError::bad(35115, "SendAt must be a time in UTC, from 300 seconds to 35 days in the future.");
    let moment: DateTime<Utc> = text.parse().map_err(|_| wrong())?;
    let lead = moment - clock::now();
    if lead < SOONEST || lead > LATEST { Err(wrong()) } else { Ok(Some(moment)) }
}
