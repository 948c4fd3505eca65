//! Some days in one line, as a schedule's file and the database spell them.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike as _, NaiveDate};

use super::yearly_rule::YearlyRule;

/// Some days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DayRule {
    /// `2026-12-25`
    Date(NaiveDate),
    /// `2026-12-24/2027-01-02`: from the first to the last, both included.
    Dates {
        /// The first of them.
        first: NaiveDate,
        /// The last of them, not before the first.
        last: NaiveDate,
    },
    /// `12-25`: that day each year; `02-29` only in leap years.
    EachYear {
        /// 1 to 12.
        month: u32,
        /// 1 to 31, a day that the month may have.
        day: u32,
    },
    /// `2020-05-25/P1D RRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO`: what a calendar says comes again.
    Yearly(YearlyRule),
}

/// Why a line is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} {why}")]
pub struct WrongDayRule {
    given: String,
    why: String,
}

/// A year in which each day of every month exists.
const LEAP_YEAR: i32 = 2024;

impl DayRule {
    /// So many days from this one on; `None`: they end after the year 9999, which no line could spell.
    #[must_use]
    pub fn days_from(first: NaiveDate, number: u32) -> Option<Self> {
        if number == 1 {
            return Some(Self::Date(first));
        }
        let more = chrono::Days::new(u64::from(number.checked_sub(1)?));
        let last = first.checked_add_days(more).filter(|last| last.year() <= 9999)?;
        Some(Self::Dates { first, last })
    }

    /// Whether this day is one of them.
    #[must_use]
    pub fn contains(&self, date: NaiveDate) -> bool {
        match self {
            Self::Date(only) => *only == date,
            Self::Dates { first, last } => *first <= date && date <= *last,
            Self::EachYear { month, day } => (*month, *day) == (date.month(), date.day()),
            Self::Yearly(rule) => rule.contains(date),
        }
    }
}

impl FromStr for DayRule {
    type Err = WrongDayRule;

    fn from_str(line: &str) -> Result<Self, WrongDayRule> {
        let wrong = |why: String| WrongDayRule { given: line.to_owned(), why };
        if line.contains(" RRULE:") {
            return line.parse().map(Self::Yearly).map_err(wrong);
        }
        if let Some((first, last)) = line.split_once('/') {
            let (first, last) = (date(first).map_err(wrong)?, date(last).map_err(wrong)?);
            if last < first {
                return Err(wrong(format!("ends before it begins: write \"{last}/{first}\"")));
            }
            return Ok(Self::Dates { first, last });
        }
        if line.split('-').count() != 2 {
            return date(line).map(Self::Date).map_err(wrong);
        }
        let (month, day) = match digits(line, [2, 2]) {
            Some([month, day]) => (month, day),
            None => return Err(wrong(FORMS.to_owned())),
        };
        match NaiveDate::from_ymd_opt(LEAP_YEAR, month, day) {
            Some(_) => Ok(Self::EachYear { month, day }),
            None => Err(wrong(
                "is no day of any year; it is the month and then its day, like \"12-25\"".to_owned(),
            )),
        }
    }
}

const FORMS: &str = "is no day; write \"2026-12-25\", \"2026-12-24/2027-01-02\", or \"12-25\" for each year";

/// Reads `YYYY-MM-DD`, and nothing else.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    let [year, month, day] = digits(text, [4, 2, 2]).ok_or_else(|| FORMS.to_owned())?;
    let date = i32::try_from(year).ok().and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
    date.ok_or_else(|| format!("is no day: there is no {text}"))
}

/// The numbers between dashes, each of so many digits.
fn digits<const PARTS: usize>(text: &str, widths: [usize; PARTS]) -> Option<[u32; PARTS]> {
    let parts: [&str; PARTS] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
    let mut numbers = [0; PARTS];
    for ((number, part), width) in numbers.iter_mut().zip(parts).zip(widths) {
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    Some(numbers)
}

impl fmt::Display for DayRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => write!(f, "{date}"),
            Self::Dates { first, last } => write!(f, "{first}/{last}"),
            Self::EachYear { month, day } => write!(f, "{month:02}-{day:02}"),
            Self::Yearly(rule) => write!(f, "{rule}"),
        }
    }
}
