//! Quiet hours: between two times of each day, on the clocks of a zone, nothing is sent of our own accord.

use std::fmt;

use chrono::{DateTime, NaiveTime, TimeDelta, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

use crate::schedules::zones::tz::Tz;

/// Two times of the day, in full minutes; quiet hours may go over midnight. Spelled `{ from = "22:00", to = "07:00" }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "Spelled", into = "Spelled")]
pub struct QuietHours {
    from: NaiveTime,
    to: NaiveTime,
}

/// As files, JSON and the database's definitions spell quiet hours.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    from: String,
    to: String,
}

/// Why two times are no quiet hours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongQuietHours {
    /// A time is none.
    #[error("{end} is {given:?}; it must be a time from 00:00 to 23:59, like \"22:00\"")]
    Time {
        /// `from` or `to`.
        end: &'static str,
        /// As it was given.
        given: String,
    },
    /// They would last no time, or all day.
    #[error(
        "from and to are both {}: quiet hours need two different times, like from 22:00 to 07:00",
        spelled(*.0)
    )]
    Same(NaiveTime),
}

/// What quiet hours say about a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// The moment is outside of all of them.
    No,
    /// It is inside; this is the first moment outside of all of them.
    Until(DateTime<Utc>),
    /// Together they cover the whole day, so they never end.
    Always,
}

impl QuietHours {
    /// Quiet hours between these times, which are full minutes.
    pub fn new(from: NaiveTime, to: NaiveTime) -> Result<Self, WrongQuietHours> {
        for (end, time) in [("from", from), ("to", to)] {
            if time.second() != 0 || time.nanosecond() != 0 {
                return Err(WrongQuietHours::Time { end, given: time.to_string() });
            }
        }
        if from == to {
            return Err(WrongQuietHours::Same(from));
        }
        Ok(Self { from, to })
    }

    /// Quiet hours between times that are spelled `22:00`.
    pub fn parse(from: &str, to: &str) -> Result<Self, WrongQuietHours> {
        Spelled { from: from.to_owned(), to: to.to_owned() }.try_into()
    }

    /// The first time that they cover.
    #[must_use]
    pub fn from(&self) -> NaiveTime {
        self.from
    }

    /// The first time that they do not cover any more.
    #[must_use]
    pub fn to(&self) -> NaiveTime {
        self.to
    }

    /// Whether clocks that show this time are inside.
    #[must_use]
    pub fn covers(&self, local: NaiveTime) -> bool {
        if self.from < self.to {
            return self.from <= local && local < self.to;
        }
        self.from <= local || local < self.to
    }

    /// The first moment from this one on at which the zone's clocks show a time outside; `None`: they do already. Clocks that jump over `to` end them
    /// at the jump, and clocks that go back behind `from` begin them again.
    #[must_use]
    pub fn end_of(&self, moment: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let shown = |moment: DateTime<Utc>| moment.with_timezone(&zone).time();
        if !self.covers(shown(moment)) {
            return None;
        }
        let mut inside = moment;
        loop {
            let end = inside + self.left(shown(inside));
            let Some(change) = zone.next_change(inside).filter(|change| *change <= end) else {
                return Some(end);
            };
            if !self.covers(shown(change)) {
                return Some(change);
            }
            inside = change;
        }
    }

    /// How long they last from a time inside, on clocks that do not change.
    fn left(&self, local: NaiveTime) -> TimeDelta {
        let left = self.to - local;
        if left > TimeDelta::zero() { left } else { left + TimeDelta::days(1) }
    }
}

/// What all these quiet hours say about a moment. They may touch and overlap.
#[must_use]
pub fn end_of_all(hours: &[QuietHours], moment: DateTime<Utc>, zone: Tz) -> Quiet {
    if cover_the_day(hours) {
        return Quiet::Always;
    }
    let mut end = moment;
    while let Some(later) = hours.iter().find_map(|hours| hours.end_of(end, zone)) {
        end = later;
    }
    if end == moment { Quiet::No } else { Quiet::Until(end) }
}

/// Whether no time of the day is outside of all of them. What is outside would begin where one of them ends.
#[must_use]
pub fn cover_the_day(hours: &[QuietHours]) -> bool {
    !hours.is_empty() && hours.iter().all(|one| hours.iter().any(|other| other.covers(one.to)))
}

impl TryFrom<Spelled> for QuietHours {
    type Error = WrongQuietHours;

    fn try_from(spelled: Spelled) -> Result<Self, WrongQuietHours> {
        let time = |end, given: String| time(&given).ok_or(WrongQuietHours::Time { end, given });
        Self::new(time("from", spelled.from)?, time("to", spelled.to)?)
    }
}

impl From<QuietHours> for Spelled {
    fn from(hours: QuietHours) -> Self {
        Self { from: spelled(hours.from), to: spelled(hours.to) }
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", spelled(self.from), spelled(self.to))
    }
}

fn spelled(time: NaiveTime) -> String {
    time.format("%H:%M").to_string()
}

/// Reads `HH:MM`, and nothing else.
fn time(text: &str) -> Option<NaiveTime> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    NaiveTime::from_hms_opt(hours.parse().ok()?, minutes.parse().ok()?, 0)
}

#[cfg(test)]
mod tests;
