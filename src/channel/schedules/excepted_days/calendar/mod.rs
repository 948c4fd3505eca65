//! An operator's calendar: the all-day events of an iCalendar file (RFC 5545).
//!
//! What bears on the days and is not understood is an error with its line, never a day that is missed. Whatever else calendars hold is passed over.

use chrono::NaiveDate;

use super::day_rule::DayRule;
use super::recurrence;
use super::yearly_rule::YearlyRule;
use content_lines::Property;

/// The lines of a calendar.
mod content_lines;

/// A larger file is no calendar of holidays.
const MOST_BYTES: usize = 1024 * 1024;

/// Components that say nothing about days, and may stand anywhere.
const PASSED_OVER: [&str; 4] = ["VTIMEZONE", "VALARM", "VTODO", "VJOURNAL"];

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct LineError {
    /// Which, from 1.
    pub line: usize,
    /// What is wrong, and what helps.
    pub why: String,
}

/// The days of a calendar's events, or everything that is wrong with it, in the order of its lines.
pub fn read_ics(file: &[u8]) -> Result<Vec<DayRule>, Vec<LineError>> {
    let mut reading = Reading::default();
    if file.len() > MOST_BYTES {
        reading.refuse(
            1,
            format!(
                "the file has {} bytes; a calendar may have {MOST_BYTES}: keep what is needed",
                file.len()
            ),
        );
        return Err(reading.errors);
    }
    if file.starts_with(&[0xFF, 0xFE]) || file.starts_with(&[0xFE, 0xFF]) {
        reading.refuse(1, "the file is UTF-16: save it as UTF-8".to_owned());
        return Err(reading.errors);
    }
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    for property in content_lines::read(file) {
        match property {
            Ok(property) => reading.take(property),
            Err(error) => reading.errors.push(error),
        }
    }
    reading.end()
}

/// How far a calendar is read.
#[derive(Default)]
struct Reading {
    rules: Vec<DayRule>,
    errors: Vec<LineError>,
    /// What has begun and not ended, with its line.
    open: Vec<(String, usize)>,
    /// The properties of the event that is open.
    event: Vec<Property>,
    has_calendar: bool,
}

impl Reading {
    fn refuse(&mut self, line: usize, why: String) {
        self.errors.push(LineError { line, why });
    }

    fn take(&mut self, property: Property) {
        let component = self.open.last().map(|(name, _)| name.as_str());
        match (property.name.as_str(), component) {
            ("BEGIN", _) => self.begin(property.value.trim().to_ascii_uppercase(), property.line),
            ("END", _) => self.close(&property.value.trim().to_ascii_uppercase(), property.line),
            (_, Some("VCALENDAR")) => self.take_of_calendar(&property),
            (_, Some("VEVENT")) => self.event.push(property),
            (_, Some(_)) => {}
            (name, None) => {
                let why = format!(
                    "{name} stands outside of a calendar, which is from BEGIN:VCALENDAR to END:VCALENDAR"
                );
                self.refuse(property.line, why);
            }
        }
    }

    fn begin(&mut self, name: String, line: usize) {
        // An event or a calendar that begins within another one tells that an END is missing.
        if let Some(place) = self
            .open
            .iter()
            .position(|(open, _)| *open == name && matches!(open.as_str(), "VEVENT" | "VCALENDAR"))
        {
            self.leave(place, line);
        }
        let within = self.open.last().map(|(name, _)| name.as_str());
        let is_passed_over = PASSED_OVER.contains(&name.as_str()) || name.starts_with("X-");
        let fits = match (within, name.as_str()) {
            (None, "VCALENDAR") | (Some("VCALENDAR"), "VEVENT") => true,
            (None, _) | (_, "VCALENDAR" | "VEVENT") => false,
            (Some("VCALENDAR" | "VEVENT"), _) => is_passed_over,
            (Some(_), _) => true,
        };
        if !fits {
            let within = within
                .map_or_else(|| "outside of a calendar".to_owned(), |within| format!("within {within}"));
            self.refuse(
                line,
                format!("BEGIN:{name} stands {within}, where it is not understood: take it out"),
            );
        }
        self.has_calendar |= name == "VCALENDAR";
        if name == "VEVENT" {
            self.event.clear();
        }
        self.open.push((name, line));
    }

    /// What is open from this place on has no end before this line.
    fn leave(&mut self, place: usize, line: usize) {
        for (name, began) in self.open.split_off(place) {
            self.refuse(began, format!("BEGIN:{name} has no END:{name} before line {line}"));
        }
    }

    fn close(&mut self, name: &str, line: usize) {
        let Some(place) = self.open.iter().rposition(|(open, _)| open == name) else {
            self.refuse(line, format!("END:{name} ends nothing; BEGIN:{name} is missing before it"));
            return;
        };
        self.leave(place + 1, line);
        let began = self.open.pop().map_or(line, |(_, began)| began);
        if name == "VEVENT" {
            match days(&std::mem::take(&mut self.event), began) {
                Ok(rules) => self.rules.extend(rules),
                Err(errors) => self.errors.extend(errors),
            }
        }
    }

    fn take_of_calendar(&mut self, property: &Property) {
        let value = property.value.trim();
        let why = match property.name.as_str() {
            "VERSION" if value != "2.0" => "only iCalendar 2.0 is understood: export it in that form",
            "CALSCALE" if !value.eq_ignore_ascii_case("GREGORIAN") => "only GREGORIAN is understood",
            "METHOD" if value.eq_ignore_ascii_case("CANCEL") => {
                "the calendar takes its events back: it has no days"
            }
            _ => return,
        };
        self.refuse(property.line, format!("{} is {value:?}; {why}", property.name));
    }

    fn end(mut self) -> Result<Vec<DayRule>, Vec<LineError>> {
        for (name, line) in std::mem::take(&mut self.open) {
            self.refuse(line, format!("BEGIN:{name} has no END:{name}: is the file complete?"));
        }
        if !self.has_calendar && self.errors.is_empty() {
            self.refuse(1, "the file holds no BEGIN:VCALENDAR: it is no calendar".to_owned());
        }
        if self.errors.is_empty() {
            return Ok(self.rules);
        }
        self.errors.sort_by_key(|error| error.line);
        Err(self.errors)
    }
}

/// The days of an event that begins on this line of the file.
fn days(event: &[Property], began: usize) -> Result<Vec<DayRule>, Vec<LineError>> {
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

#[cfg(test)]
mod tests;
