//! The next slots of a schedule: for programs as instants, for people as sentences.

use std::collections::HashMap;

use channel::outbound::quiet_rule::QuietVerdict;
use channel::schedules::firing::DueZone;
use channel::schedules::moments::{self, Moment};
use channel::schedules::schedule_file::Schedule;
use channel::schedules::timing::Timing;
use channel::schedules::zones::tz::Tz;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use store::deliveries::Obstacle;
use store::slots::SkipReason;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::preview::words;

/// A slot that will fall due.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Upcoming {
    /// When.
    at: DateTime<Utc>,
    /// The same as clocks there show it, in RFC 3339.
    local: String,
    /// Where: an IANA zone.
    zone: String,
    /// Why it will be left out: `excepted_day`, or `quiet_hours` for whoever lives there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = skipped_schema)]
    skipped: Option<&'static str>,
    /// The end of the schedule's quiet hours, which its messages wait for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_until: Option<DateTime<Utc>>,
    /// What an operator should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    notes: Vec<String>,
    /// For people, with the weekday.
    #[serde(skip)]
    shown: String,
}

fn skipped_schema() -> Object {
    words(
        &["excepted_day", "quiet_hours"],
        "Why it will be left out: `excepted_day`, or `quiet_hours` for whoever lives there.",
    )
}

/// The next slots after this moment in all zones, at most so many.
pub(crate) fn upcoming(
    schedule: &Schedule,
    due_zones: &[DueZone],
    now: DateTime<Utc>,
    number: usize,
) -> Vec<Upcoming> {
    let found = soonest(&schedule.timing, due_zones.iter().map(|due_zone| due_zone.zone), now, number);
    let mut offsets: HashMap<String, String> = HashMap::new();
    found
        .into_iter()
        .map(|(moment, zone)| {
            let local = moment.at.with_timezone(&zone);
            let offset = local.format("%z").to_string();
            let before = offsets.insert(zone.to_string(), offset.clone());
            let changed = before.is_some_and(|before| before != offset);
            let changed = changed.then_some("clocks have changed since the slot before");
            let notes = changed.into_iter().chain(moments::note(&schedule.timing, zone, moment));
            let mut notes: Vec<String> = notes.map(str::to_owned).collect();
            let quiet = schedule.definition.quiet_rule().judge_in(zone, moment.at);
            let waits_until = match quiet {
                QuietVerdict::Wait(end) => Some(end),
                _ => None,
            };
            let skipped = if moments::is_excepted(&schedule.timing, zone, moment) {
                notes.push("left out: `except` has its day".to_owned());
                Some(SkipReason::ExceptedDay.as_str())
            } else if quiet == QuietVerdict::Skip {
                notes.push("in its quiet hours: nobody who lives there gets it".to_owned());
                Some(Obstacle::QuietHours.as_str())
            } else {
                None
            };
            if let Some(end) = waits_until.filter(|_| skipped.is_none()) {
                let end = end.with_timezone(&zone);
                notes.push(format!("in its quiet hours: sent at {}", end.format("%a %F %T %Z")));
            }
            Upcoming {
                at: moment.at,
                local: local.to_rfc3339_opts(SecondsFormat::Secs, false),
                zone: zone.to_string(),
                skipped,
                waits_until: waits_until.filter(|_| skipped.is_none()),
                notes,
                shown: format!("{}  ({})", local.format("%a %F %T %Z"), moment.at.format("%F %TZ")),
            }
        })
        .collect()
}

/// The soonest moments in these zones, at most so many. Once there are so many, the other zones are not searched beyond the last of them.
fn soonest(
    timing: &Timing,
    zones: impl Iterator<Item = Tz>,
    now: DateTime<Utc>,
    number: usize,
) -> Vec<(Moment, Tz)> {
    let mut found: Vec<(Moment, Tz)> = Vec::new();
    for zone in zones {
        let moments = match found.last().filter(|_| found.len() == number) {
            Some((last, _)) => moments::between(timing, zone, now, last.at),
            None => moments::next(timing, zone, now, number),
        };
        found.extend(moments.into_iter().map(|moment| (moment, zone)));
        found.sort_by_key(|(moment, _)| moment.at);
        found.truncate(number);
    }
    found
}

impl Upcoming {
    /// Where.
    pub(crate) fn zone(&self) -> &str {
        &self.zone
    }

    /// For people.
    pub(crate) fn sentence(&self, with_zone: bool) -> String {
        let zone = if with_zone { format!("  {}", self.zone) } else { String::new() };
        let notes: String = self.notes.iter().map(|note| format!("  {note}")).collect();
        format!("{}{zone}{notes}", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_soonest_moments_of_all_zones_are_those_of_each_zone_in_order() {
        let now: DateTime<Utc> = "2026-03-28T20:17:05Z".parse().unwrap();
        let zones = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Pacific/Apia"];
        let zones = zones.map(|zone| zone.parse::<Tz>().unwrap());
        for cron in ["* * * * *", "30 2 * * *", "0 8 * * MON#1", "0 0 29 2 *"] {
            let text = format!(
                "cron = \"{cron}\"\ntimezone = \"user\"\ndefault_timezone = \"UTC\"\n[audience]\neveryone = true\n[content]\nmessage = \"x\"\n"
            );
            let timing = Schedule::parse("x", &text, Path::new(".")).unwrap().timing;
            for number in [1, 3, 7, 40] {
                let of = |zone: Tz| {
                    moments::next(&timing, zone, now, number).into_iter().map(move |at| (at, zone))
                };
                let mut all: Vec<(Moment, Tz)> = zones.into_iter().flat_map(of).collect();
                all.sort_by_key(|(moment, _)| moment.at);
                all.truncate(number);

                let found = soonest(&timing, zones.into_iter(), now, number);

                let shown = |found: &[(Moment, Tz)]| -> Vec<(DateTime<Utc>, String)> {
                    found.iter().map(|(moment, zone)| (moment.at, zone.to_string())).collect()
                };
                assert_eq!(shown(&found), shown(&all), "{cron} {number}");
            }
        }
    }
}
