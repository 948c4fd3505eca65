//! An operator's calendar: the all-day events of an iCalendar file (RFC 5545).
//!
//! What bears on the days and is not understood is an error with its line, never a day that is missed. Whatever else calendars hold is passed over.
//!
//! No crate does that: `ical` ends without an error at a fold that splits a character, `icalendar` counts the lines of the unfolded text and `calcard`
//! none, and `rrule` brings chrono-tz along and takes days for moments of a zone.

use super::day_rule::DayRule;
use content_lines::Property;

/// The lines of a calendar.
mod content_lines;
/// The days of an event.
mod event;

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
            match event::days(&std::mem::take(&mut self.event), began) {
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

#[cfg(test)]
mod tests;
