//! When a schedule falls due: the moments of its crontab expression on the clocks of its zone.
//!
//! With fixed hours each local time counts once: one that a clock change skips falls due at the first moment after the gap, one that a clock change
//! repeats falls due the first time. Where the hour is every hour, each real moment counts.

use chrono::{DateTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};

use super::crontab::Cron;
use super::zones::tz::Tz;

/// No clock change is longer, and none is farther from UTC.
const CLOCK_CHANGE: TimeDelta = TimeDelta::hours(27);

/// The moments in `(after, until]`, in order, each once.
#[must_use]
pub fn between(cron: &Cron, zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    if until <= after {
        return Vec::new();
    }
    // On the clocks of the zone, written as if they showed UTC.
    let margin = if changes_clocks(zone, after, until) { CLOCK_CHANGE } else { TimeDelta::zero() };
    let begin = (after - margin).with_timezone(&zone).naive_local().and_utc();
    let end = (until + margin).with_timezone(&zone).naive_local().and_utc();
    let mut moments: Vec<DateTime<Utc>> = cron
        .after(begin)
        .take_while(|local| *local <= end)
        .flat_map(|local| instants(cron, zone, local.naive_utc()))
        .filter(|moment| *moment > after && *moment <= until)
        .collect();
    moments.sort();
    moments.dedup();
    moments
}

/// The next moments after this one, at most so many, none farther away than five years.
#[must_use]
pub fn next(cron: &Cron, zone: Tz, after: DateTime<Utc>, number: usize) -> Vec<DateTime<Utc>> {
    let mut window = TimeDelta::minutes(2);
    loop {
        let mut found = between(cron, zone, after, after + window);
        if found.len() >= number || window > TimeDelta::days(5 * 366) {
            found.truncate(number);
            return found;
        }
        window = window * 6;
    }
}

/// The last moments in `(after, until]`, at most so many, in order; whether there are more before them.
#[must_use]
pub fn last(
    cron: &Cron,
    zone: Tz,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    number: usize,
) -> (Vec<DateTime<Utc>>, bool) {
    let mut window = TimeDelta::minutes(2);
    loop {
        let begin = after.max(until - window);
        let mut found = between(cron, zone, begin, until);
        if begin == after || found.len() > number {
            let surplus = found.len().saturating_sub(number);
            found.drain(..surplus);
            return (found, surplus > 0);
        }
        window = window * 6;
    }
}

/// What an operator should know about a moment on a day when clocks change.
#[must_use]
pub fn note(cron: &Cron, zone: Tz, moment: DateTime<Utc>) -> Option<&'static str> {
    let local = moment.with_timezone(&zone).naive_local();
    if cron.every_hour {
        return None;
    }
    if cron.after(local.and_utc() - TimeDelta::seconds(1)).next() != Some(local.and_utc()) {
        return Some("the clocks skip the time that is due; this is the first moment after it");
    }
    let twice = zone.from_local_datetime(&local).latest().is_some_and(|latest| latest.to_utc() != moment);
    twice.then_some("the clocks show this time twice; it fires the first time")
}

/// Whether the zone's clocks may change within this time or about a day around it; for a long time it is not looked at closely.
fn changes_clocks(zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> bool {
    let offset = |moment: DateTime<Utc>| zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
    let offsets = [after - CLOCK_CHANGE, after, until, until + CLOCK_CHANGE].map(offset);
    until - after > TimeDelta::days(2) || offsets.iter().any(|other| *other != offsets[0])
}

/// When clocks of the zone show this time, as far as it counts.
fn instants(cron: &Cron, zone: Tz, local: NaiveDateTime) -> Vec<DateTime<Utc>> {
    use chrono::LocalResult;
    match zone.from_local_datetime(&local) {
        LocalResult::Single(moment) => vec![moment.to_utc()],
        LocalResult::Ambiguous(first, second) if cron.every_hour => vec![first.to_utc(), second.to_utc()],
        LocalResult::Ambiguous(first, _) => vec![first.to_utc()],
        LocalResult::None if cron.every_hour => Vec::new(),
        LocalResult::None => after_gap(zone, local).into_iter().collect(),
    }
}

/// The first moment after a gap that this local time lies in.
fn after_gap(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    // Gaps end at a full minute; the longest ones skip a day.
    let ahead = (1..=25 * 60).find_map(|minutes| {
        let later = local + TimeDelta::minutes(minutes);
        zone.from_local_datetime(&later).earliest().map(|moment| (later, moment.to_utc()))
    });
    let (later, moment) = ahead?;
    // Back to the first second that the clocks show again.
    let seconds_into = (0..60).rev().find(|seconds| {
        zone.from_local_datetime(&(later - TimeDelta::seconds(*seconds))).earliest().is_some()
    });
    Some(moment - TimeDelta::seconds(seconds_into.unwrap_or(0)))
}

#[cfg(test)]
mod tests;
