//! An alert as it is posted to the operator's service.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use store::alerts::{Alert, AlertCause};
use store::ids::AlertId;

use super::causes;

/// What a post says of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Telling {
    /// It has begun.
    #[default]
    Raised,
    /// It goes on.
    Repeated,
    /// It is over.
    Resolved,
}

/// An alert as JSON, with `text` for a chat that shows just that.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertPost {
    text: String,
    /// The alert's number; null: the database is in trouble, and there is no row yet.
    id: Option<AlertId>,
    cause: AlertCause,
    state: Telling,
    detail: String,
    since: DateTime<Utc>,
    times: i32,
    remedy: String,
}

impl AlertPost {
    /// What is told of an alert.
    #[must_use]
    pub fn of(alert: &Alert, state: Telling) -> Self {
        Self::new(Some(alert.id), alert.cause, state, &alert.detail, alert.opened_at, alert.times)
    }

    pub(super) fn new(
        id: Option<AlertId>,
        cause: AlertCause,
        state: Telling,
        detail: &str,
        since: DateTime<Utc>,
        times: i32,
    ) -> Self {
        let remedy = causes::remedy(cause, since);
        let begun = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let often = if times > 1 { format!(", {times} times") } else { String::new() };
        let said = match state {
            Telling::Raised => format!("{cause}: {detail}\nWhat helps: {remedy}"),
            Telling::Repeated => {
                format!("{cause} goes on since {begun}{often}: {detail}\nWhat helps: {remedy}")
            }
            Telling::Resolved => format!("{cause} is over; it began {begun}{often}: {detail}"),
        };
        let text = format!("CloudyBot's WhatsApp channel: {said}");
        Self { text, id, cause, state, detail: detail.to_owned(), since, times, remedy }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_repeat_says_since_when_and_how_often() {
        let since = DateTime::UNIX_EPOCH;
        let post =
            AlertPost::new(Some(AlertId(7)), AlertCause::Clock, Telling::Repeated, "3 s behind", since, 4);

        let post = serde_json::to_value(post).unwrap();

        let text = post["text"].as_str().unwrap();
        assert!(
            text.contains("clock goes on since 1970-01-01T00:00:00Z, 4 times: 3 s behind\nWhat helps: "),
            "{text}"
        );
        assert_eq!((&post["id"], &post["state"], &post["times"]), (&json!(7), &json!("repeated"), &json!(4)));
    }
}
