//! An RRULE of RFC 5545, as far as yearly all-day events have one.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{Datelike as _, Months, NaiveDate, Weekday};

/// Where the end of a COUNT is not looked for any more.
const LAST_YEAR: i32 = 2200;

/// When it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecurrenceRule {
    /// Every so manyth year.
    interval: u32,
    /// The last day on which it may begin.
    pub(super) until: Option<NaiveDate>,
    /// Empty: those of the other parts, or the first day's.
    months: Vec<u32>,
    /// Counted from the month's end where negative. Empty: those of the weekdays, or the first day's.
    month_days: Vec<i32>,
    weekdays: Vec<RuleWeekday>,
}

/// `4TH`, `-1MO`, or `TU` for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RuleWeekday {
    /// Of the month if the rule has months, else of the year; counted from its end where negative.
    nth: Option<i32>,
    weekday: Weekday,
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Mon),
    ("TU", Weekday::Tue),
    ("WE", Weekday::Wed),
    ("TH", Weekday::Thu),
    ("FR", Weekday::Fri),
    ("SA", Weekday::Sat),
    ("SU", Weekday::Sun),
];

impl RecurrenceRule {
    /// Reads an RRULE; the COUNT is told apart, since it needs the first day.
    pub(super) fn read(rule: &str) -> Result<(Self, Option<usize>), String> {
        let (mut interval, mut until, mut count, mut is_yearly) = (None, None, None, false);
        let (mut months, mut month_days, mut weekdays) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = Vec::new();
        for part in rule.split(';') {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("RRULE has {part:?}, which is no part like BYMONTH=5"))?;
            let name = name.to_ascii_uppercase();
            if seen.contains(&name) {
                return Err(format!("RRULE has {name} twice"));
            }
            match name.as_str() {
                "FREQ" if value.eq_ignore_ascii_case("YEARLY") => is_yearly = true,
                "FREQ" => {
                    return Err(format!(
                        "RRULE has FREQ={value}; only FREQ=YEARLY is understood: write the event's days one by one"
                    ));
                }
                "INTERVAL" => interval = Some(number(&name, value, 1..=1000)?),
                "COUNT" => count = Some(number(&name, value, 1..=100_000)?),
                "UNTIL" => until = Some(date(value).map_err(|wrong| format!("UNTIL {wrong}"))?),
                "BYMONTH" => months = list(value, |month| number("BYMONTH", month, 1..=12))?,
                "BYMONTHDAY" => month_days = list(value, |day| signed("BYMONTHDAY", day, 31))?,
                "BYDAY" => weekdays = list(value, str::parse)?,
                // Where a week begins tells nothing without weeks.
                "WKST" if weekday(value).is_some() => {}
                _ => {
                    return Err(format!(
                        "RRULE has {part}, which is not understood: write the event's days one by one"
                    ));
                }
            }
            seen.push(name);
        }
        if !is_yearly {
            return Err("RRULE has no FREQ; FREQ=YEARLY is understood".to_owned());
        }
        if until.is_some() && count.is_some() {
            return Err("RRULE has both COUNT and UNTIL; leave one out".to_owned());
        }
        let interval = interval.unwrap_or(1);
        let recurrence = Self { interval, until, months, month_days, weekdays };
        if let Some(far) = recurrence
            .weekdays
            .iter()
            .find(|weekday| !recurrence.months.is_empty() && weekday.is_beyond_a_month())
        {
            return Err(format!("RRULE has BYDAY={far} with BYMONTH; a month has no such weekday"));
        }
        Ok((recurrence, count.and_then(|count| usize::try_from(count).ok())))
    }

    /// Whether an event whose first day this is begins on that day.
    pub(super) fn has(&self, first: NaiveDate, day: NaiveDate) -> bool {
        let years = day.year() - first.year();
        day >= first
            && self.until.is_none_or(|until| day <= until)
            && i64::from(years) % i64::from(self.interval) == 0
            && self.is_month(first, day.month())
            && (self.month_days.is_empty() || self.month_days.iter().any(|nth| is_nth_day(day, *nth)))
            && (self.weekdays.is_empty()
                || self.weekdays.iter().any(|nth| nth.is(day, !self.months.is_empty())))
            && (!self.month_days.is_empty() || !self.weekdays.is_empty() || day.day() == first.day())
    }

    /// Whether this month may have such days.
    fn is_month(&self, first: NaiveDate, month: u32) -> bool {
        if !self.months.is_empty() {
            return self.months.contains(&month);
        }
        !self.month_days.is_empty() || !self.weekdays.is_empty() || month == first.month()
    }

    /// The days on which an event begins whose first day this is, in order.
    pub(super) fn starts(&self, first: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        let step = usize::try_from(self.interval).unwrap_or(usize::MAX);
        let months: Vec<u32> = (1..=12).filter(|month| self.is_month(first, *month)).collect();
        let is_firsts_day = self.month_days.is_empty() && self.weekdays.is_empty();
        let days = if is_firsts_day { first.day()..=first.day() } else { 1..=31 };
        let of_month =
            move |year, month| days.clone().filter_map(move |day| NaiveDate::from_ymd_opt(year, month, day));
        let of_year = move |year| {
            let of_month = of_month.clone();
            months.clone().into_iter().flat_map(move |month| of_month(year, month))
        };
        (first.year()..=LAST_YEAR).step_by(step).flat_map(of_year).filter(move |day| self.has(first, *day))
    }
}

impl RuleWeekday {
    fn is(self, day: NaiveDate, of_month: bool) -> bool {
        if day.weekday() != self.weekday {
            return false;
        }
        let Some(nth) = self.nth else { return true };
        let (past, length) =
            if of_month { (day.day(), days_of_month(day)) } else { (day.ordinal(), days_of_year(day)) };
        let (from_begin, from_end) = (past.div_ceil(7), (length - past) / 7 + 1);
        if nth > 0 { from_begin == nth.unsigned_abs() } else { from_end == nth.unsigned_abs() }
    }

    fn is_beyond_a_month(self) -> bool {
        self.nth.is_some_and(|nth| nth.unsigned_abs() > 5)
    }
}

fn is_nth_day(day: NaiveDate, nth: i32) -> bool {
    if nth > 0 {
        day.day() == nth.unsigned_abs()
    } else {
        days_of_month(day) - day.day() + 1 == nth.unsigned_abs()
    }
}

fn days_of_month(day: NaiveDate) -> u32 {
    let next = day.with_day(1).and_then(|first| first.checked_add_months(Months::new(1)));
    next.and_then(|next| next.pred_opt()).map_or(31, |last| last.day())
}

fn days_of_year(day: NaiveDate) -> u32 {
    if day.leap_year() { 366 } else { 365 }
}

pub(super) fn list<T>(value: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    value.split(',').map(item).collect()
}

fn number(name: &str, value: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let number = value
        .parse()
        .ok()
        .filter(|number| value.bytes().all(|byte| byte.is_ascii_digit()) && range.contains(number));
    number.ok_or_else(|| format!("RRULE has {name}={value}; it must be {} to {}", range.start(), range.end()))
}

/// A number from 1 on, or from -1 backwards.
fn signed(name: &str, value: &str, most: i32) -> Result<i32, String> {
    let number = value.parse().ok().filter(|number: &i32| *number != 0 && (-most..=most).contains(number));
    number.ok_or_else(|| format!("RRULE has {name} with {value:?}; it must be 1 to {most}, or -1 to -{most}"))
}

fn weekday(name: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, weekday)| *weekday)
}

/// Reads a date as iCalendar spells it, `20261225`.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let date = NaiveDate::parse_from_str(text, "%Y%m%d").ok();
        return date.ok_or_else(|| format!("is {text}, a day that does not exist"));
    }
    let is_time = text.get(8..9).is_some_and(|separator| separator.eq_ignore_ascii_case("T"));
    let kind = if is_time { "a time of the day" } else { "no date" };
    Err(format!("is {text:?}, {kind}; only all-day events are understood, whose dates are like 20261225"))
}

impl FromStr for RuleWeekday {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("RRULE has BYDAY with {text:?}; it must be like MO, 4TH or -1MO");
        let (nth, name) = text.split_at_checked(text.len().saturating_sub(2)).ok_or_else(wrong)?;
        let weekday = weekday(name).ok_or_else(wrong)?;
        let nth = if nth.is_empty() { None } else { Some(signed("BYDAY", nth, 53)?) };
        Ok(Self { nth, weekday })
    }
}

impl fmt::Display for RuleWeekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            WEEKDAYS.iter().find(|(_, weekday)| *weekday == self.weekday).map_or("", |(name, _)| *name);
        self.nth.map_or(Ok(()), |nth| write!(f, "{nth}"))?;
        f.write_str(name)
    }
}

impl fmt::Display for RecurrenceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RRULE:FREQ=YEARLY")?;
        if self.interval > 1 {
            write!(f, ";INTERVAL={}", self.interval)?;
        }
        if let Some(until) = self.until {
            write!(f, ";UNTIL={}", until.format("%Y%m%d"))?;
        }
        write_list(f, ";BYMONTH=", &self.months)?;
        write_list(f, ";BYMONTHDAY=", &self.month_days)?;
        write_list(f, ";BYDAY=", &self.weekdays)
    }
}

pub(super) fn write_list<T: ToString>(f: &mut fmt::Formatter<'_>, name: &str, list: &[T]) -> fmt::Result {
    if list.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    write!(f, "{name}{}", list.join(","))
}
