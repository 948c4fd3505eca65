//! What schedules will say to a user next.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use store::ids::ScheduleName;
use store::users::User;

use super::duty::filled;
use super::moments;
use super::schedule_file::Schedule;
use crate::outbound::quiet_rule::QuietVerdict;

/// Moments of a schedule that are looked at before it counts as silent: days that it leaves out, and quiet hours in which it says nothing.
const LOOKS: usize = 40;

/// The next time that a schedule speaks to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComingUp {
    /// Which one.
    pub schedule: ScheduleName,
    /// When it is sent, behind the quiet hours that it waits for.
    pub at: DateTime<Utc>,
    /// It is late for the sake of quiet hours.
    pub waits: bool,
    /// What will be said; `None`: the assistant will find the words then.
    pub text: Option<String>,
}

/// The next time of each schedule that speaks to this user, the soonest first. `has_phone`: the user has a phone.
pub async fn coming_up(conn: &mut PgConnection, user: &User, has_phone: bool) -> sqlx::Result<Vec<ComingUp>> {
    let rows = store::schedules::all(conn).await?;
    let mut found: Vec<ComingUp> = rows
        .into_iter()
        .filter(|row| row.enabled)
        .filter_map(|row| {
            let definition = serde_json::from_value(row.definition).ok()?;
            let schedule = Schedule::of(&row.name, definition).ok()?;
            let concerns =
                schedule.definition.enabled && schedule.definition.audience.includes(user, has_phone);
            concerns.then(|| next(&schedule, user, row.now)).flatten()
        })
        .collect();
    found.sort_by(|one, other| (one.at, &one.schedule).cmp(&(other.at, &other.schedule)));
    Ok(found)
}

/// The next time that a schedule speaks to a user of its audience.
fn next(schedule: &Schedule, user: &User, now: DateTime<Utc>) -> Option<ComingUp> {
    let zone = schedule.zone.of_user(user);
    let mut after = now;
    for _ in 0..LOOKS {
        let moment = moments::next(&schedule.timing, zone, after, 1).into_iter().next()?;
        after = moment.at;
        if moments::is_excepted(&schedule.timing, zone, moment) {
            continue;
        }
        let (at, waits) = match schedule.definition.quiet_rule().judge(user, moment.at) {
            QuietVerdict::Speak => (moment.at, false),
            QuietVerdict::Wait(end) => (end, true),
            QuietVerdict::Skip => continue,
        };
        let words = schedule.definition.content.message.as_deref();
        let text = words.map(|words| filled(moment.at, &schedule.definition, user, words));
        return Some(ComingUp { schedule: schedule.name.clone(), at, waits, text });
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use store::periods::Anchor;

    use super::*;

    fn alice() -> User {
        User {
            id: "alice".parse().unwrap(),
            plan: "Pro".to_owned(),
            anchor: Anchor::default(),
            paused: false,
            timezone: Some("Europe/Berlin".to_owned()),
            quiet_hours: Some(("22:00:00".parse().unwrap(), "09:00:00".parse().unwrap())),
            attributes: [("name".to_owned(), "Alice".to_owned())].into(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn parsed(text: &str) -> Schedule {
        Schedule::parse("x", text, Path::new(".")).unwrap()
    }

    #[test]
    fn the_next_time_is_on_the_users_clocks_and_behind_what_is_left_out() {
        let now = "2026-11-30T12:00:00Z".parse().unwrap();
        for (keys, words, expected) in [
            (
                "cron = \"30 10 * * *\"\ntimezone = \"user\"\ndefault_timezone = \"UTC\"",
                "message = \"Hi {{user.name|friend}}, {{slot.time}}\"",
                Some(("2026-12-01T09:30:00Z", false, Some("Hi Alice, 10:30"))),
            ),
            (
                "cron = \"30 8 * * *\"\ntimezone = \"Europe/Berlin\"\nexcept = [\"2026-12-01\"]",
                "prompt = \"the operator's own words\"",
                Some(("2026-12-02T08:00:00Z", true, None)),
            ),
            (
                "cron = \"30 8 * * *\"\ntimezone = \"Europe/Berlin\"\nquiet_hours = { then = \"skip\" }",
                "message = \"never\"",
                None,
            ),
        ] {
            let text = format!("{keys}\n[audience]\nuser = \"alice\"\n[content]\n{words}\n");
            let found = next(&parsed(&text), &alice(), now);
            let found = found.map(|found| (found.at, found.waits, found.text));
            let expected =
                expected.map(|(at, waits, text)| (at.parse().unwrap(), waits, text.map(str::to_owned)));
            assert_eq!(found, expected, "{keys}");
        }
    }

    #[test]
    fn an_audience_includes_whom_it_names_and_nobody_whom_it_excepts() {
        for (audience, with_phone, without) in [
            ("user = \"alice\"", true, true),
            ("user = \"bob\"", false, false),
            ("users = [\"bob\", \"alice\"]", true, true),
            ("plan = \"pro\"", true, true),
            ("plan = \"free\"", false, false),
            ("plan = \"pro\"\nexcept_users = [\"alice\"]", false, false),
            ("everyone = true", true, false),
            ("everyone = true\nexcept_users = [\"alice\"]", false, false),
        ] {
            let text = format!("cron = \"@daily\"\n[audience]\n{audience}\n[content]\nmessage = \"x\"\n");
            let includes = |has_phone| parsed(&text).definition.audience.includes(&alice(), has_phone);
            assert_eq!((includes(true), includes(false)), (with_phone, without), "{audience}");
        }
    }
}
