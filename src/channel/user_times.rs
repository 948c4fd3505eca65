//! When a user's clocks show what, and when they want peace: what the product and the user themselves may say.

use store::users::User;

use crate::quiet_hours::{QuietHours, WrongQuietHours};
use crate::schedules::zones::UnknownZone;
use crate::schedules::zones::tz::Tz;

/// Why something was not taken for a user's times.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongTimes {
    /// No zone has this name.
    #[error("{0}")]
    Zone(#[from] UnknownZone),
    /// These are no quiet hours.
    #[error("{0}")]
    QuietHours(#[from] WrongQuietHours),
    /// One of the two times is missing.
    #[error("quiet hours need both times, or none of them")]
    HalfQuietHours,
}

/// The name of a time zone that the rules in use have.
pub fn zone_name(name: &str) -> Result<String, UnknownZone> {
    name.parse::<Tz>().map(|zone| zone.to_string())
}

/// Gives a user these times, as a form has them: blank ones are none. The caller holds the user's lock and stores it.
pub fn set(user: &mut User, zone: &str, from: &str, to: &str) -> Result<(), WrongTimes> {
    let (zone, from, to) = (zone.trim(), from.trim(), to.trim());
    let timezone = if zone.is_empty() { None } else { Some(zone_name(zone)?) };
    let hours = match (from.is_empty(), to.is_empty()) {
        (true, true) => None,
        (false, false) => Some(QuietHours::parse(from, to)?),
        _ => return Err(WrongTimes::HalfQuietHours),
    };
    user.timezone = timezone;
    user.quiet_hours = hours.map(|hours| (hours.from(), hours.to()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use store::periods::Anchor;

    use super::*;

    #[test]
    fn a_form_sets_both_clears_both_or_changes_nothing() {
        let mut user = User {
            id: "alice".parse().unwrap(),
            plan: "pro".to_owned(),
            anchor: Anchor::default(),
            paused: false,
            timezone: None,
            quiet_hours: None,
            attributes: std::collections::BTreeMap::new(),
            created_at: DateTime::UNIX_EPOCH,
        };

        set(&mut user, " Europe/Berlin", "22:00", "07:00").unwrap();

        let known = user.clone();
        assert_eq!(known.timezone.as_deref(), Some("Europe/Berlin"));
        let hours = known.quiet_hours.map(|(from, to)| (from.to_string(), to.to_string()));
        assert_eq!(hours, Some(("22:00:00".to_owned(), "07:00:00".to_owned())));
        for (zone, from, to) in [
            ("Mars/Base", "", ""),
            ("UTC", "22:00", ""),
            ("UTC", "", "07:00"),
            ("UTC", "7 o'clock", "08:00"),
            ("UTC", "07:00", "07:00"),
        ] {
            set(&mut user, zone, from, to).unwrap_err();
            assert_eq!(user, known, "{zone} {from} {to}");
        }
        set(&mut user, "", "", " ").unwrap();
        assert_eq!((user.timezone, user.quiet_hours), (None, None));
    }
}
