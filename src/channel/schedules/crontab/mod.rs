//! Crontab expressions with the meaning that every crontab gives them, and the forms that authors want besides.
//!
//! There are five fields, or six with seconds first. A field is `*` or a list of values, ranges (`1-5`), steps (`*/15`, `10-40/10`, `5/15`) and names
//! of three letters. Weekdays are numbered from Sunday, which is 0 and 7. In the day of the month stand also `L` (the last day), `L-3` (three days
//! before it), `15W` (the weekday from Monday to Friday that is nearest to the 15th, in the same month) and `LW`; in the weekday `MON#1` (the first
//! Monday) and `FRIL` (the last Friday). Where both day fields are restricted, a day need fit only one of them; where one begins with a star, both.
//!
//! The grammar is strict: what looks like a slip of the pen is refused, with its place and what was probably meant. `DIFFERENCES.md` lists what cronie
//! reads otherwise, and a test compares the list with what is here.
//!
//! Clock changes are the business of `moments`. It asks one thing here, `every_hour`: whether the hour begins with a star. cronie asks for the
//! minute too, so that `*/30 1 * * *` runs twice in an hour that clocks repeat and not at all in one that they skip. Here it is a schedule for one
//! o'clock like `0,30 1 * * *`: what is said at fixed hours is said once on every day, whichever way its minutes are written.

use chrono::{
    DateTime, Datelike as _, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _, Utc,
};

use days::Days;
use error::{CronError, Fault};
use field::Field;
use list::List;
use value_set::ValueSet;

/// Which days fit.
mod days;
/// Why an expression is refused.
pub mod error;
/// The six fields.
mod field;
/// What stands between commas.
mod item;
/// The fields of an expression.
mod layout;
/// A field as it was written.
mod list;
/// What an author should know about an expression.
mod notes;
/// A piece of text with its place.
mod part;
/// The values of a field.
mod value_set;
/// Days in words.
mod words;

/// An expression.
#[derive(Clone, Debug)]
pub struct Cron {
    seconds: ValueSet,
    minutes: ValueSet,
    hours: ValueSet,
    days: Days,
    months: ValueSet,
    never_due: bool,
    /// Its hour begins with a star, so each real moment counts at a clock change.
    pub(super) every_hour: bool,
    written: WrittenExpression,
}

/// An expression as it was written.
#[derive(Clone, Debug)]
struct WrittenExpression {
    /// In the order of [`Field::ALL`].
    lists: [List; 6],
    with_seconds: bool,
}

impl Cron {
    /// Reads an expression.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        Self::read(expression).map_err(|fault| fault.of(expression))
    }

    fn read(expression: &str) -> Result<Self, Fault> {
        let (parts, with_seconds) = layout::fields(expression)?;
        let mut lists = Vec::new();
        for (field, part) in Field::ALL.into_iter().zip(parts) {
            lists.push(List::parse(field, part).map_err(|fault| fault.within(field))?);
        }
        let Ok(lists) = <[List; 6]>::try_from(lists) else {
            return Err(Fault::whole("it must have 5 or 6 fields"));
        };
        let [second, minute, hour, day, month, weekday] = &lists;
        let mut cron = Self {
            seconds: second.values(),
            minutes: minute.values(),
            hours: hour.values(),
            days: Days::of(day, weekday),
            months: month.values(),
            never_due: false,
            every_hour: hour.begins_with_star(),
            written: WrittenExpression { lists, with_seconds },
        };
        cron.never_due = cron.no_day_fits();
        Ok(cron)
    }

    /// The moments after this one, in order, on a clock that knows no zone.
    pub fn after(&self, moment: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let second = TimeDelta::seconds(1);
        let mut from =
            moment.naive_utc().with_nanosecond(0).and_then(|whole| whole.checked_add_signed(second));
        std::iter::from_fn(move || {
            let due = self.at_or_after(from?)?;
            from = due.checked_add_signed(second);
            Some(due.and_utc())
        })
    }

    /// Whether there is no moment at which it falls due, as with a 30th of February.
    #[must_use]
    pub fn never_due(&self) -> bool {
        self.never_due
    }

    /// How many times it falls due on a day of 24 hours that fits.
    #[must_use]
    pub fn per_day(&self) -> u32 {
        self.seconds.len() * self.minutes.len() * self.hours.len()
    }

    /// The calendar repeats itself, weekdays included, after 400 years: a day that is not in these is in none.
    fn no_day_fits(&self) -> bool {
        let years = NaiveDate::from_ymd_opt(2000, 1, 1).zip(NaiveDate::from_ymd_opt(2399, 12, 31));
        years.is_none_or(|(first, last)| self.day_within(first, last).is_none())
    }

    fn at_or_after(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        if self.never_due {
            return None;
        }
        let today = from.date();
        if let Some(time) = self.time_from(from.time()).filter(|_| self.day_fits(today)) {
            return Some(today.and_time(time));
        }
        let day = self.day_within(today.succ_opt()?, NaiveDate::MAX)?;
        Some(day.and_time(self.time_from(NaiveTime::MIN)?))
    }

    fn day_fits(&self, day: NaiveDate) -> bool {
        self.months.contains(day.month() as u8) && self.days.fit(day)
    }

    /// The first day that fits, of these.
    fn day_within(&self, first: NaiveDate, last: NaiveDate) -> Option<NaiveDate> {
        let mut day = first;
        while day <= last {
            if !self.months.contains(day.month() as u8) {
                day = day.with_day(1)?.checked_add_months(Months::new(1))?;
            } else if self.days.fit(day) {
                return Some(day);
            } else {
                day = day.succ_opt()?;
            }
        }
        None
    }

    /// The first time of a day that fits, not before this one.
    fn time_from(&self, from: NaiveTime) -> Option<NaiveTime> {
        let (hour, minute, second) = (from.hour() as u8, from.minute() as u8, from.second() as u8);
        let time = |hour: u8, minute: u8, second: u8| {
            NaiveTime::from_hms_opt(u32::from(hour), u32::from(minute), u32::from(second))
        };
        let (first_minute, first_second) = (self.minutes.at_or_after(0)?, self.seconds.at_or_after(0)?);
        if self.hours.contains(hour) {
            let later = self.seconds.at_or_after(second).filter(|_| self.minutes.contains(minute));
            if let Some(second) = later {
                return time(hour, minute, second);
            }
            if let Some(minute) = self.minutes.at_or_after(minute + 1) {
                return time(hour, minute, first_second);
            }
        }
        time(self.hours.at_or_after(hour + 1)?, first_minute, first_second)
    }
}

#[cfg(test)]
mod tests;
