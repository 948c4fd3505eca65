//! The next slots of a schedule: for programs as instants, for people as sentences.

use std::collections::HashMap;

use channel::outbound::quiet_rule::{QuietVerdict, WhenQuiet};
use channel::quiet_hours::{self, Quiet, QuietHours};
use channel::schedules::firing::Place;
use channel::schedules::moments;
use channel::schedules::schedule_file::Schedule;
use channel::schedules::zones::tz::Tz;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use store::deliveries::Obstacle;
use store::slots::SkipReason;
use utoipa::ToSchema;

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
    #[schema(value_type = Option<String>)]
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

/// The next slots after this moment in all places, at most so many.
pub(crate) fn upcoming(
    schedule: &Schedule,
    places: &[Place],
    now: DateTime<Utc>,
    number: usize,
) -> Vec<Upcoming> {
    let in_place = |place: &Place| {
        let found = moments::next(&schedule.timing, place.zone, now, number);
        let zone = place.zone;
        found.into_iter().map(move |moment| (moment, zone))
    };
    let mut found: Vec<(moments::Moment, Tz)> = places.iter().flat_map(in_place).collect();
    found.sort_by_key(|(moment, _)| moment.at);
    found.truncate(number);
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
            let quiet = quiet(schedule, zone, moment.at);
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

/// What a schedule's own quiet hours say of a moment to whoever lives in a zone.
fn quiet(schedule: &Schedule, zone: Tz, moment: DateTime<Utc>) -> QuietVerdict {
    let rule = schedule.definition.quiet_rule();
    let hours: Vec<QuietHours> = rule.hours.into_iter().collect();
    match (quiet_hours::end_of_all(&hours, moment, zone), rule.then) {
        (Quiet::No, _) => QuietVerdict::Speak,
        (Quiet::Until(end), WhenQuiet::Wait) => QuietVerdict::Wait(end),
        _ => QuietVerdict::Skip,
    }
}
