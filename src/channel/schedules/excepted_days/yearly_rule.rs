//! Days that come again each year, by the parts of RFC 5545's RRULE that yearly all-day events have.
//!
//! In one line: the first day and the length, the rule, and the days on which it is left out, as in
//! `2020-05-25/P1D RRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO EXDATE:20240527`.

use std::fmt;
use std::str::FromStr;

use chrono::{Days, NaiveDate};

use super::day_rule;
use super::recurrence::{self, RecurrenceRule};

/// An event longer than that would meet itself a year later.
const LONGEST: u32 = 366;

/// An all-day event that comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YearlyRule {
    first: NaiveDate,
    /// How many days each lasts.
    length: u32,
    recurrence: RecurrenceRule,
    /// The first days of those that are left out.
    left_out: Vec<NaiveDate>,
}

impl YearlyRule {
    /// An event that lasts so many days from its first one on, and comes again by this RRULE. The error says what is wrong with the rule.
    pub fn new(first: NaiveDate, length: u32, rule: &str, left_out: Vec<NaiveDate>) -> Result<Self, String> {
        if !(1..=LONGEST).contains(&length) {
            return Err(format!(
                "an event that comes again each year lasts 1 to {LONGEST} days, not {length}"
            ));
        }
        let (mut recurrence, count) = RecurrenceRule::read(rule)?;
        if recurrence.until.is_some_and(|until| until < first) {
            return Err(format!("RRULE ends before {first}, the event's first day: let UNTIL be later"));
        }
        if !recurrence.has(first, first) {
            return Err(format!(
                "{first} is none of the rule's own days, so nobody knows whether it counts: let DTSTART be the first day of the rule"
            ));
        }
        if let Some(count) = count {
            let last = recurrence.starts(first).nth(count - 1);
            recurrence.until = last;
        }
        Ok(Self { first, length, recurrence, left_out })
    }

    /// Whether this day is one of them.
    #[must_use]
    pub fn contains(&self, day: NaiveDate) -> bool {
        (0..u64::from(self.length))
            .filter_map(|into| day.checked_sub_days(Days::new(into)))
            .any(|start| self.begins_on(start))
    }

    fn begins_on(&self, day: NaiveDate) -> bool {
        self.recurrence.has(self.first, day) && !self.left_out.contains(&day)
    }
}

impl fmt::Display for YearlyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/P{}D {}", self.first, self.length, self.recurrence)?;
        let left_out: Vec<_> = self.left_out.iter().map(|day| day.format("%Y%m%d")).collect();
        recurrence::write_list(f, " EXDATE:", &left_out)
    }
}

impl FromStr for YearlyRule {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || {
            "is no yearly rule; one is like 2020-05-25/P1D RRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO".to_owned()
        };
        let mut words = line.split(' ');
        let (Some(event), Some(rule)) = (words.next(), words.next()) else { return Err(wrong()) };
        let (first, length) = event.split_once('/').ok_or_else(wrong)?;
        let first = day_rule::date(first).map_err(|_| wrong())?;
        let length = length.strip_prefix('P').and_then(|rest| rest.strip_suffix('D')).ok_or_else(wrong)?;
        let length = length.parse().map_err(|_| wrong())?;
        let rule = rule.strip_prefix("RRULE:").ok_or_else(wrong)?;
        let left_out = match words.next() {
            Some(word) => {
                recurrence::list(word.strip_prefix("EXDATE:").ok_or_else(wrong)?, recurrence::date)?
            }
            None => Vec::new(),
        };
        if words.next().is_some() {
            return Err(wrong());
        }
        Self::new(first, length, rule, left_out)
    }
}
