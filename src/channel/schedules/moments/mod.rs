//! The moments at which a schedule falls due. Pure: given a timing and a zone, the moments between two instants.
//!
//! Where clocks jump: a time that they skip falls due at the first instant after the gap, and one that they repeat once, the first time. A timing whose
//! hours are not fixed counts each real moment instead, so that "every 15 minutes" skips and repeats nothing.

use chrono::{DateTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};

use super::timing::{Interval, Recurrence, Timing};
use super::zones::tz::Tz;

/// A moment at which a schedule falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When that is.
    pub at: DateTime<Utc>,
    /// What stands for it with a user, whatever zone the user moves to: the time that clocks were to show. Of a timing by real time it is the moment
    /// in UTC, or, counted from an anchor, the time since then behind it.
    pub local: NaiveDateTime,
}

/// A change of clocks may be seen so far from it.
const CLOCK_CHANGE: TimeDelta = TimeDelta::hours(26);

/// Nothing is looked for farther ahead than this.
const HORIZON: TimeDelta = TimeDelta::days(5 * 366);

/// The moments in `(after, until]`, in order.
#[must_use]
pub fn between(timing: &Timing, zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Moment> {
    if until <= after {
        return Vec::new();
    }
    let mut moments: Vec<Moment> = candidates(timing, zone, after, until)
        .into_iter()
        .filter(|moment| moment.at > after && moment.at <= until)
        .filter(|moment| timing.lasts_to(moment.at.with_timezone(&zone).naive_local()))
        .collect();
    // Of times that share a moment, the one that clocks show counts.
    moments.sort_by_key(|moment| (moment.at, moment.local != moment.at.with_timezone(&zone).naive_local()));
    moments.dedup_by_key(|moment| moment.at);
    moments
}

/// At least the moments in `(after, until]`.
fn candidates(timing: &Timing, zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Moment> {
    match &timing.recurrence {
        Recurrence::Cron(cron) => {
            // A skipped time may belong to a moment a good while later.
            let margin =
                if changes_clocks(zone, after, until) { CLOCK_CHANGE } else { TimeDelta::seconds(1) };
            let shown = |moment: DateTime<Utc>| moment.with_timezone(&zone).naive_local();
            let end = shown(until + margin);
            let end = timing.until.map_or(end, |last| end.min(last.last()));
            cron.after(shown(after - margin).and_utc())
                .map(|local| local.naive_utc())
                .take_while(|local| *local <= end)
                .flat_map(|local| instants(timing, zone, local))
                .collect()
        }
        Recurrence::At(time) => instants(timing, zone, time.0),
        Recurrence::Every(interval) => steps(interval, zone, after, until),
    }
}

/// The next moments after this one, at most so many, none farther away than five years.
#[must_use]
pub fn next(timing: &Timing, zone: Tz, after: DateTime<Utc>, number: usize) -> Vec<Moment> {
    let mut window = TimeDelta::minutes(2);
    loop {
        let mut found = between(timing, zone, after, after + window);
        if found.len() >= number || window > HORIZON {
            found.truncate(number);
            return found;
        }
        window = window * 6;
    }
}

/// The last moments in `(after, until]`, at most so many, in order; whether there are more before them.
#[must_use]
pub fn last(
    timing: &Timing,
    zone: Tz,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    number: usize,
) -> (Vec<Moment>, bool) {
    let mut window = TimeDelta::minutes(2);
    loop {
        let begin = after.max(until - window);
        let mut found = between(timing, zone, begin, until);
        if begin == after || found.len() > number {
            let surplus = found.len().saturating_sub(number);
            found.drain(..surplus);
            return (found, surplus > 0);
        }
        window = window * 6;
    }
}

/// Whether a moment is on one of the days on which the schedule is silent, as clocks of the zone have it.
#[must_use]
pub fn is_excepted(timing: &Timing, zone: Tz, moment: Moment) -> bool {
    let day = if timing.is_by_real_time() {
        moment.at.with_timezone(&zone).date_naive()
    } else {
        moment.local.date()
    };
    timing.except.contains(day)
}

/// What an operator should know about a moment on a day when clocks change.
#[must_use]
pub fn note(timing: &Timing, zone: Tz, moment: Moment) -> Option<&'static str> {
    if timing.is_by_real_time() {
        return None;
    }
    let shown = moment.at.with_timezone(&zone).naive_local();
    if shown != moment.local {
        return Some("the clocks skip the time that is due; this is the first moment after it");
    }
    let twice = zone.from_local_datetime(&shown).latest().is_some_and(|latest| latest.to_utc() != moment.at);
    twice.then_some("the clocks show this time twice; it fires the first time")
}

/// Whether the zone's clocks may change within this time or about a day around it; for a long time it is not looked at closely.
fn changes_clocks(zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> bool {
    let offset = |moment: DateTime<Utc>| zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
    let offsets = [after - CLOCK_CHANGE, after, until, until + CLOCK_CHANGE].map(offset);
    until - after > TimeDelta::days(2) || offsets.iter().any(|other| *other != offsets[0])
}

/// When clocks of the zone show this time, as far as it counts.
fn instants(timing: &Timing, zone: Tz, local: NaiveDateTime) -> Vec<Moment> {
    use chrono::LocalResult;
    if timing.is_by_real_time() {
        let real = |at: DateTime<Utc>| Moment { at, local: at.naive_utc() };
        return match zone.from_local_datetime(&local) {
            LocalResult::Single(moment) => vec![real(moment.to_utc())],
            LocalResult::Ambiguous(first, second) => vec![real(first.to_utc()), real(second.to_utc())],
            LocalResult::None => Vec::new(),
        };
    }
    shown_at(zone, local).map(|at| Moment { at, local }).into_iter().collect()
}

/// The first instant at which clocks of the zone show this time; where they skip it, the first one after the gap.
#[must_use]
pub fn shown_at(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local).earliest() {
        Some(moment) => Some(moment.to_utc()),
        None => after_gap(zone, local),
    }
}

/// The moments of an interval in `(after, until]`; the anchor itself is the first one.
fn steps(interval: &Interval, zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Moment> {
    let Ok(step) = i64::try_from(interval.step.as_secs()) else { return Vec::new() };
    let anchor = match interval.anchor {
        Some(anchor) => shown_at(zone, anchor.0),
        None => Some(DateTime::UNIX_EPOCH),
    };
    let Some(anchor) = anchor.filter(|_| step > 0) else { return Vec::new() };
    let first = ((after - anchor).num_seconds().div_euclid(step) + 1).max(0);
    let origin = interval.anchor.map_or(DateTime::UNIX_EPOCH.naive_utc(), |anchor| anchor.0);
    (first..)
        .map(|number| TimeDelta::seconds(number * step))
        .map(|since| Moment { at: anchor + since, local: origin + since })
        .take_while(|moment| moment.at <= until)
        .collect()
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
