//! What quiet hours mean for a delivery of our own accord: it waits for their end, or it is dropped. Judged when it is planned and before it is sent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::users::User;

use crate::quiet_hours::{self, Quiet, QuietHours};
use crate::schedules::zones::tz::Tz;

/// What happens with a message that falls into quiet hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenQuiet {
    /// It waits for their end.
    #[default]
    Wait,
    /// It is dropped.
    Skip,
}

/// What holds for a delivery beside its user's own quiet hours. It is kept with the delivery, since it outlives its schedule's version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct QuietRule {
    /// Those of its schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<QuietHours>,
    /// What happens with it.
    pub then: WhenQuiet,
    /// The zone of users who have none.
    pub timezone: String,
    /// How long it may be sent from their end on.
    #[serde(with = "humantime_serde")]
    pub lasts: Duration,
    /// Whether it waits after that for the person's next message, where WhatsApp takes no free text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_inbound: bool,
}

/// What quiet hours say about a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuietVerdict {
    /// It may be sent.
    #[default]
    Speak,
    /// It waits until then.
    Wait(DateTime<Utc>),
    /// It is dropped.
    Skip,
}

impl QuietRule {
    /// Judges for a user at a moment, on the clocks of the user's zone.
    #[must_use]
    pub fn judge(&self, user: &User, moment: DateTime<Utc>) -> QuietVerdict {
        let own = user.quiet_hours.and_then(|(from, to)| QuietHours::new(from, to).ok());
        let zone = |name: &str| name.parse::<Tz>().ok();
        let zone =
            user.timezone.as_deref().and_then(zone).or_else(|| zone(&self.timezone)).unwrap_or(Tz::UTC);
        self.verdict(own, moment, zone)
    }

    /// Judges for whoever lives in a zone and has no quiet hours.
    #[must_use]
    pub fn judge_in(&self, zone: Tz, moment: DateTime<Utc>) -> QuietVerdict {
        self.verdict(None, moment, zone)
    }

    fn verdict(&self, own: Option<QuietHours>, moment: DateTime<Utc>, zone: Tz) -> QuietVerdict {
        let hours: Vec<QuietHours> = self.hours.into_iter().chain(own).collect();
        match (quiet_hours::end_of_all(&hours, moment, zone), self.then) {
            (Quiet::No, _) => QuietVerdict::Speak,
            (Quiet::Until(end), WhenQuiet::Wait) => QuietVerdict::Wait(end),
            // Who has quiet hours all day is never written to.
            (Quiet::Until(_), WhenQuiet::Skip) | (Quiet::Always, _) => QuietVerdict::Skip,
        }
    }

    /// When a delivery that waits until then expires.
    #[must_use]
    pub fn expires_at(&self, waits_until: DateTime<Utc>) -> DateTime<Utc> {
        waits_until + self.lasts
    }
}

#[cfg(test)]
mod tests {
    use store::periods::Anchor;

    use super::*;

    fn user(timezone: Option<&str>, quiet: Option<(&str, &str)>) -> User {
        User {
            id: "alice".parse().unwrap(),
            plan: "pro".to_owned(),
            anchor: Anchor::default(),
            paused: false,
            timezone: timezone.map(str::to_owned),
            quiet_hours: quiet.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap())),
            attributes: std::collections::BTreeMap::new(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn both_the_schedules_and_the_users_hours_hold_on_the_users_clocks() {
        let rule = |hours: Option<(&str, &str)>, then| QuietRule {
            hours: hours
                .map(|(from, to)| QuietHours::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()),
            then,
            timezone: "Europe/Berlin".to_owned(),
            lasts: Duration::from_secs(3600),
            waits_for_inbound: false,
        };
        let night = Some(("22:00:00", "07:00:00"));
        let wait = |until: &str| QuietVerdict::Wait(until.parse().unwrap());
        // 23:00 in Berlin, 17:00 in New York.
        let moment = "2026-11-28T22:00:00Z".parse().unwrap();
        for (hours, then, zone, own, verdict) in [
            (None, WhenQuiet::Wait, None, None, QuietVerdict::Speak),
            (night, WhenQuiet::Wait, None, None, wait("2026-11-29T06:00:00Z")),
            (night, WhenQuiet::Skip, None, None, QuietVerdict::Skip),
            (night, WhenQuiet::Wait, Some("America/New_York"), None, QuietVerdict::Speak),
            (
                None,
                WhenQuiet::Wait,
                Some("America/New_York"),
                Some(("16:00:00", "18:00:00")),
                wait("2026-11-28T23:00:00Z"),
            ),
            (night, WhenQuiet::Wait, None, Some(("06:30:00", "09:00:00")), wait("2026-11-29T08:00:00Z")),
            (night, WhenQuiet::Wait, None, Some(("07:00:00", "22:00:00")), QuietVerdict::Skip),
            (night, WhenQuiet::Wait, Some("Mars/Base"), None, wait("2026-11-29T06:00:00Z")),
        ] {
            assert_eq!(
                rule(hours, then).judge(&user(zone, own), moment),
                verdict,
                "{hours:?} {zone:?} {own:?}"
            );
        }
    }
}
