//! Which days fit: the two day fields together.

use chrono::{Datelike as _, NaiveDate, Weekday};

use super::error::Fault;
use super::field::Field;
use super::item::Item;
use super::list::List;
use super::part::Part;
use super::value_set::ValueSet;

/// The days of an expression.
#[derive(Clone, Debug)]
pub(super) struct Days {
    pub(super) dates: ValueSet,
    pub(super) month_days: Vec<MonthDay>,
    pub(super) weekdays: ValueSet,
    pub(super) nth_weekdays: Vec<NthWeekday>,
    /// A day need fit only one of the two fields: neither begins with a star.
    pub(super) either: bool,
}

/// A day whose date is another one in each month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MonthDay {
    pub(super) day: Counted,
    /// The day from Monday to Friday that is nearest to it within the month.
    pub(super) nearest_weekday: bool,
}

/// How a day is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// From the month's beginning, from 1.
    FromFirst(u8),
    /// So many days before the last.
    BeforeLast(u8),
}

/// One of a month's Mondays, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NthWeekday {
    /// From Sunday, which is 0.
    pub(super) weekday: u8,
    pub(super) nth: Nth,
}

/// Which one of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nth {
    /// 1 to 5.
    Numbered(u8),
    Last,
}

impl Days {
    pub(super) fn of(day: &List, weekday: &List) -> Self {
        let month_day = |item: &Item| if let Item::MonthDay(day) = item { Some(*day) } else { None };
        let nth_weekday = |item: &Item| if let Item::NthWeekday(day) = item { Some(*day) } else { None };
        Self {
            dates: day.values(),
            month_days: day.items().filter_map(month_day).collect(),
            weekdays: weekday.values(),
            nth_weekdays: weekday.items().filter_map(nth_weekday).collect(),
            either: !day.begins_with_star() && !weekday.begins_with_star(),
        }
    }

    /// Whether this day fits.
    pub(super) fn fit(&self, date: NaiveDate) -> bool {
        let by_date =
            self.dates.contains(date.day() as u8) || self.month_days.iter().any(|day| day.falls_on(date));
        let by_weekday = self.weekdays.contains(date.weekday().num_days_from_sunday() as u8)
            || self.nth_weekdays.iter().any(|day| day.falls_on(date));
        if self.either { by_date || by_weekday } else { by_date && by_weekday }
    }
}

impl MonthDay {
    /// Reads `L`, `L-3`, `LW`, `L-3W` or `15W`.
    pub(super) fn parse(part: Part<'_>) -> Result<Self, Fault> {
        let text = part.text;
        let fault = |reason: &str| Err(Fault::at(part.at, format!("{text}: {reason}")));
        let (part, nearest_weekday) = match part.strip_suffix('W') {
            Some(day) => (day, true),
            None => (part, false),
        };
        if let Some(behind) = part.strip_prefix('L') {
            let before_last = match behind.strip_prefix('-') {
                _ if behind.text.is_empty() => Some(0),
                Some(days) if days.is_number() => {
                    days.text.parse().ok().filter(|days| (1..=30).contains(days))
                }
                None if behind.is_number() => return fault(&format!("is L-{} meant?", behind.text)),
                _ => None,
            };
            return match before_last {
                Some(days) => Ok(Self { day: Counted::BeforeLast(days), nearest_weekday }),
                None => fault("L is the last day, L-1 to L-30 are days before it, LW is the last weekday"),
            };
        }
        if part.text.is_empty() {
            return fault(
                "every day from Monday to Friday is MON-FRI in the weekday; the one nearest to the 15th is 15W",
            );
        }
        if !nearest_weekday {
            return fault("L stands alone, or before how many days before the last: L-3");
        }
        if !part.is_number() {
            return fault("W stands behind one day, as in 15W, or behind L");
        }
        Ok(Self { day: Counted::FromFirst(Field::Day.value(part)?), nearest_weekday })
    }

    /// Whether it is this day in its month.
    pub(super) fn falls_on(self, date: NaiveDate) -> bool {
        let length = date.num_days_in_month();
        let day = match self.day {
            Counted::FromFirst(day) if day <= length => day,
            Counted::BeforeLast(days) if days < length => length - days,
            _ => return false,
        };
        let Some(exact) = date.with_day(u32::from(day)) else { return false };
        let found = match exact.weekday() {
            Weekday::Sat if self.nearest_weekday => {
                if day == 1 {
                    day + 2
                } else {
                    day - 1
                }
            }
            Weekday::Sun if self.nearest_weekday => {
                if day == length {
                    day - 2
                } else {
                    day + 1
                }
            }
            _ => day,
        };
        date.day() == u32::from(found)
    }
}

impl NthWeekday {
    /// Reads `MON#1`, `1#1`, `FRIL` or `5L`.
    pub(super) fn parse(part: Part<'_>) -> Result<Self, Fault> {
        let text = part.text;
        if let Some((day, nth)) = part.split_once('#') {
            let one_day = || Fault::at(part.at, format!("{text}: # stands behind one weekday, as in MON#1"));
            if day.text.is_empty() || day.text.contains('-') {
                return Err(one_day());
            }
            let weekday = Field::Weekday.value(day)? % 7;
            if nth.text.eq_ignore_ascii_case("L") {
                return Err(Fault::at(nth.at, format!("{text}: the last one is {}L", day.text)));
            }
            let number = nth.text.parse().ok().filter(|number| nth.is_number() && (1..=5).contains(number));
            let number = number.ok_or_else(|| {
                let reason = format!("{text}: 1 to 5 stands behind #; the last one is {}L", day.text);
                Fault::at(nth.at, reason)
            })?;
            return Ok(Self { weekday, nth: Nth::Numbered(number) });
        }
        match part.strip_suffix('L') {
            Some(day) if !day.text.is_empty() => {
                Ok(Self { weekday: Field::Weekday.value(day)? % 7, nth: Nth::Last })
            }
            _ => {
                let reason = format!(
                    "{text}: which weekday's last? The last Friday is FRIL; {text} as the month's last day stands in the day of the month"
                );
                Err(Fault::at(part.at, reason))
            }
        }
    }

    /// Whether it is this day in its month.
    pub(super) fn falls_on(self, date: NaiveDate) -> bool {
        let on_weekday = date.weekday().num_days_from_sunday() == u32::from(self.weekday);
        on_weekday
            && match self.nth {
                Nth::Numbered(number) => date.day0() / 7 + 1 == u32::from(number),
                Nth::Last => date.day() + 7 > u32::from(date.num_days_in_month()),
            }
    }
}
