//! A time zone whose rules are jiff's, for chrono's moments. Only instants and offsets cross between the two.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc,
};
use jiff::Timestamp;
use jiff::tz::AmbiguousOffset;

use super::{UnknownZone, rules};

static UTC: jiff::tz::TimeZone = jiff::tz::TimeZone::UTC;

/// A time zone of the process's rules. It is parsed from its IANA name.
#[derive(Clone, Copy)]
pub struct Tz {
    name: &'static str,
    rules: &'static jiff::tz::TimeZone,
}

/// What a zone's clocks are ahead of UTC at a moment.
#[derive(Clone, Copy)]
pub struct TzOffset {
    zone: Tz,
    ahead: FixedOffset,
    at: Timestamp,
}

impl Tz {
    /// UTC itself.
    pub const UTC: Self = Self { name: "UTC", rules: &UTC };

    pub(super) fn new(name: &'static str, rules: &'static jiff::tz::TimeZone) -> Self {
        Self { name, rules }
    }

    /// The next moment after this one at which the zone's clocks may change. `None`: the rules know of no other.
    #[must_use]
    pub fn next_change(self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let change = self.rules.following(timestamp(&after.naive_utc())).next()?;
        DateTime::from_timestamp(change.timestamp().as_second(), 0).filter(|change| *change > after)
    }

    fn offset(self, ahead: jiff::tz::Offset, at: Timestamp) -> TzOffset {
        // tzdata has no offset of a day, and chrono can have none.
        let ahead = FixedOffset::east_opt(ahead.seconds()).unwrap_or(Utc.fix());
        TzOffset { zone: self, ahead, at }
    }

    /// The offset at the moment when the zone's clocks, so much ahead, show this time.
    fn local_offset(self, local: Timestamp, ahead: jiff::tz::Offset) -> TzOffset {
        let at = local.as_second() - i64::from(ahead.seconds());
        self.offset(ahead, Timestamp::from_second(at).unwrap_or(local))
    }
}

impl FromStr for Tz {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        rules().zone(name)
    }
}

impl fmt::Display for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl TimeZone for Tz {
    type Offset = TzOffset;

    fn from_offset(offset: &TzOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<TzOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<TzOffset> {
        let local = timestamp(local);
        let shown = jiff::tz::Offset::UTC.to_datetime(local);
        match self.rules.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                MappedLocalTime::Single(self.local_offset(local, offset))
            }
            AmbiguousOffset::Fold { before, after } => {
                MappedLocalTime::Ambiguous(self.local_offset(local, before), self.local_offset(local, after))
            }
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> TzOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> TzOffset {
        let at = timestamp(utc);
        self.offset(self.rules.to_offset(at), at)
    }
}

impl Offset for TzOffset {
    fn fix(&self) -> FixedOffset {
        self.ahead
    }
}

/// The abbreviation, such as CET; tzdata has numbers where people use none.
impl fmt::Display for TzOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zone.rules.to_offset_info(self.at).abbreviation())
    }
}

impl fmt::Debug for TzOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The full second of a time as UTC shows it. jiff's years end with 9999; a time beyond takes the last rules.
fn timestamp(utc: &NaiveDateTime) -> Timestamp {
    let seconds = utc.and_utc().timestamp();
    let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(seconds).unwrap_or(end)
}
