//! The days of one all-day event: its first day and length, when it comes again, and which of its days are left out.

use chrono::NaiveDate;

use super::LineError;
use super::content_lines::Property;
use crate::schedules::excepted_days::day_rule::DayRule;
use crate::schedules::excepted_days::recurrence;
use crate::schedules::excepted_days::yearly_rule::YearlyRule;

/// The days of an event that begins on this line of the file.
pub(super) fn days(event: &[Property], began: usize) -> Result<Vec<DayRule>, Vec<LineError>> {
    let mut errors = Vec::new();
    let refused = |property: &&Property| matches!(property.name.as_str(), "RECURRENCE-ID" | "EXRULE");
    for Property { line, name, .. } in event.iter().filter(refused) {
        let why = match name.as_str() {
            "RECURRENCE-ID" => {
                "RECURRENCE-ID changes one of an event's days, which is not understood: write the event's days one by one"
            }
            _ => "EXRULE is not understood: write EXDATE with the days that are left out",
        };
        errors.push(LineError { line: *line, why: why.to_owned() });
    }
    let status = event.iter().find(|property| property.name == "STATUS");
    if status.is_some_and(|status| status.value.trim().eq_ignore_ascii_case("CANCELLED")) {
        return if errors.is_empty() { Ok(Vec::new()) } else { Err(errors) };
    }
    let mut kept = |result: Result<Vec<DayRule>, LineError>| {
        result.unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        })
    };
    let rules = match Occurrence::read(event, began) {
        Ok(occurrence) => {
            let left_out = dates(event, "EXDATE").unwrap_or_else(|error| {
                kept(Err(error));
                Vec::new()
            });
            let mut rules = kept(occurrence.by_rule(event, &left_out));
            rules.extend(kept(occurrence.on_other_dates(event, &left_out)));
            rules
        }
        Err(error) => kept(Err(error)),
    };
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

/// The first day of an event, and how many days it lasts.
struct Occurrence {
    first: NaiveDate,
    length: u32,
    line: usize,
}

impl Occurrence {
    fn read(event: &[Property], began: usize) -> Result<Self, LineError> {
        let start = only(event, "DTSTART")?;
        let start = start.ok_or_else(|| {
            wrong(began, "the event has no DTSTART: write its day, like DTSTART;VALUE=DATE:20261225")
        })?;
        let first = date(start)?;
        let (end, duration) = (only(event, "DTEND")?, only(event, "DURATION")?);
        let length = match (end, duration) {
            (None, None) => 1,
            (Some(end), None) => {
                let days = (date(end)? - first).num_days();
                let days = u32::try_from(days).ok().filter(|days| *days > 0);
                days.ok_or_else(|| {
                    wrong(end.line, "DTEND is not after DTSTART; it is the day after the event's last one")
                })?
            }
            (None, Some(duration)) => whole_days(duration)?,
            (Some(_), Some(duration)) => {
                return Err(wrong(duration.line, "the event has both DTEND and DURATION; leave one out"));
            }
        };
        Ok(Self { first, length, line: start.line })
    }

    /// The event itself, and when it comes again.
    fn by_rule(&self, event: &[Property], left_out: &[NaiveDate]) -> Result<Vec<DayRule>, LineError> {
        if let Some(rule) = only(event, "RRULE")? {
            let yearly = YearlyRule::new(self.first, self.length, rule.value.trim(), left_out.to_vec());
            return Ok(vec![DayRule::Yearly(yearly.map_err(|why| LineError { line: rule.line, why })?)]);
        }
        if left_out.contains(&self.first) { Ok(Vec::new()) } else { Ok(vec![self.on(self.first)?]) }
    }

    /// The dates that are written one by one.
    fn on_other_dates(&self, event: &[Property], left_out: &[NaiveDate]) -> Result<Vec<DayRule>, LineError> {
        dates(event, "RDATE")?
            .into_iter()
            .filter(|date| !left_out.contains(date))
            .map(|date| self.on(date))
            .collect()
    }

    fn on(&self, first: NaiveDate) -> Result<DayRule, LineError> {
        DayRule::days_from(first, self.length)
            .ok_or_else(|| wrong(self.line, "the event ends after the year 9999"))
    }
}

fn wrong(line: usize, why: &str) -> LineError {
    LineError { line, why: why.to_owned() }
}

/// The property of this name, which an event has once.
fn only<'a>(event: &'a [Property], name: &str) -> Result<Option<&'a Property>, LineError> {
    let mut found = event.iter().filter(|property| property.name == name);
    let (first, second) = (found.next(), found.next());
    match second {
        Some(second) => Err(wrong(second.line, &format!("the event has a second {name}; leave one out"))),
        None => Ok(first),
    }
}

/// The day of a property. One that is spelled as a date is one, also where VALUE=DATE is missing.
fn date(property: &Property) -> Result<NaiveDate, LineError> {
    dates_of(property)?.pop().ok_or_else(|| wrong(property.line, "the property has no value"))
}

/// The days of all properties of this name.
fn dates(event: &[Property], name: &str) -> Result<Vec<NaiveDate>, LineError> {
    let mut dates = Vec::new();
    for property in event.iter().filter(|property| property.name == name) {
        dates.extend(dates_of(property)?);
    }
    Ok(dates)
}

fn dates_of(property: &Property) -> Result<Vec<NaiveDate>, LineError> {
    let date = |text: &str| {
        recurrence::date(text.trim())
            .map_err(|why| LineError { line: property.line, why: format!("{} {why}", property.name) })
    };
    property.value.split(',').map(date).collect()
}

/// A duration of whole days or weeks.
fn whole_days(duration: &Property) -> Result<u32, LineError> {
    let text = duration.value.trim().to_ascii_uppercase();
    let days = |unit: char, days: u32| {
        let number = text.strip_prefix('+').unwrap_or(&text).strip_prefix('P')?.strip_suffix(unit)?;
        let number: u32 = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
        number.checked_mul(days).filter(|days| *days > 0)
    };
    days('D', 1).or_else(|| days('W', 7)).ok_or_else(|| {
        let why =
            format!("DURATION is {text:?}; an all-day event lasts whole days or weeks, like P1D or P2W");
        LineError { line: duration.line, why }
    })
}
