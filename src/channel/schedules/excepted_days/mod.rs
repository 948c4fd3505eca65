//! Days on which a schedule is silent: what its file lists, and what an operator's calendar has.

use chrono::{Datelike as _, NaiveDate};
use serde::{Deserialize, Serialize};

use day_rule::{DayRule, WrongDayRule};
use yearly_rule::YearlyRule;

/// An operator's calendar, an iCalendar file.
pub mod calendar;
/// Some days, in one line.
pub mod day_rule;
/// When they come again.
mod recurrence;
/// Days that come again each year, as calendars say it.
pub mod yearly_rule;

/// Some days. In JSON and in files they are a list of lines, one for each [`DayRule`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ExceptedDays {
    rules: Vec<DayRule>,
    /// The first and last days of what happens once, in order and apart from each other: calendars have thousands.
    spans: Vec<(NaiveDate, NaiveDate)>,
    /// Month and day of what happens each year, in order.
    each_year: Vec<(u32, u32)>,
    yearly: Vec<YearlyRule>,
}

impl ExceptedDays {
    /// The days of all these rules.
    #[must_use]
    pub fn new(rules: Vec<DayRule>) -> Self {
        let (mut spans, mut each_year, mut yearly) = (Vec::new(), Vec::new(), Vec::new());
        for rule in &rules {
            match rule {
                DayRule::Date(date) => spans.push((*date, *date)),
                DayRule::Dates { first, last } => spans.push((*first, *last)),
                DayRule::EachYear { month, day } => each_year.push((*month, *day)),
                DayRule::Yearly(rule) => yearly.push(rule.clone()),
            }
        }
        each_year.sort_unstable();
        Self { rules, spans: apart(spans), each_year, yearly }
    }

    /// Whether this day is one of them.
    #[must_use]
    pub fn contains(&self, day: NaiveDate) -> bool {
        let next = self.spans.partition_point(|(first, _)| *first <= day);
        let once = next.checked_sub(1).is_some_and(|before| day <= self.spans[before].1);
        once || self.each_year.binary_search(&(day.month(), day.day())).is_ok()
            || self.yearly.iter().any(|rule| rule.contains(day))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules, in the order in which they were given.
    #[must_use]
    pub fn rules(&self) -> &[DayRule] {
        &self.rules
    }
}

/// Spans in order, those that overlap as one.
fn apart(mut spans: Vec<(NaiveDate, NaiveDate)>) -> Vec<(NaiveDate, NaiveDate)> {
    spans.sort_unstable();
    let mut apart: Vec<(NaiveDate, NaiveDate)> = Vec::with_capacity(spans.len());
    for (first, last) in spans {
        match apart.last_mut().filter(|before| first <= before.1) {
            Some(before) => before.1 = before.1.max(last),
            None => apart.push((first, last)),
        }
    }
    apart
}

impl TryFrom<Vec<String>> for ExceptedDays {
    type Error = WrongDayRule;

    fn try_from(lines: Vec<String>) -> Result<Self, WrongDayRule> {
        Ok(Self::new(lines.iter().map(|line| line.parse()).collect::<Result<_, _>>()?))
    }
}

impl From<ExceptedDays> for Vec<String> {
    fn from(days: ExceptedDays) -> Self {
        days.rules.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests;
