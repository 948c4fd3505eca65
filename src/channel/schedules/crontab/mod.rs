//! Crontab expressions with the meaning that every crontab gives them, on top of a library that gives some of it another one.
//!
//! Five fields, or six with seconds first; names and macros. Days of the week are numbered from Sunday, which is 0 and 7; the library counts
//! from 1. Where both day fields are restricted (neither begins with a star) either may match; the library wants both.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use cron::Schedule;

/// An expression.
#[derive(Clone, Debug)]
pub struct Cron {
    /// One, or two whose moments are joined.
    schedules: Vec<Schedule>,
    /// Its hours are not fixed: every hour or every so many, so each real moment counts.
    pub(super) every_hour: bool,
}

/// Why an expression is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cron {expression:?}: {reason}")]
pub struct CronError {
    expression: String,
    reason: String,
}

const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Cron {
    /// Reads an expression.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        let error = |reason: String| CronError { expression: expression.to_owned(), reason };
        let plain = expression.trim().to_lowercase();
        let plain = match MACROS.iter().find(|(name, _)| *name == plain) {
            Some((_, meaning)) => (*meaning).to_owned(),
            None if plain.starts_with('@') => {
                let known: Vec<&str> = MACROS.iter().map(|(name, _)| *name).collect();
                return Err(error(format!("no such macro; the macros are {}", known.join(", "))));
            }
            None => plain,
        };
        let fields: Vec<&str> = plain.split_whitespace().collect();
        let [second, minute, hour, day, month, weekday] = match fields[..] {
            [minute, hour, day, month, weekday] => ["0", minute, hour, day, month, weekday],
            [second, minute, hour, day, month, weekday] => [second, minute, hour, day, month, weekday],
            _ => {
                return Err(error(format!(
                    "it has {} fields; it must have 5 (minute, hour, day, month, weekday), or 6 with seconds first",
                    fields.len()
                )));
            }
        };
        let (day, weekday_field) = (any(day), any(weekday));
        let weekdays = weekdays(weekday_field).map_err(error)?;
        let schedule = |day: &str, weekday: &str| {
            let library = format!("{second} {minute} {hour} {day} {month} {weekday}");
            // The library shows the expression as it got it; its last line says what is wrong.
            Schedule::from_str(&library)
                .map_err(|told| error(told.to_string().lines().last().unwrap_or_default().to_owned()))
        };
        // As crontab has it, a field that begins with a star leaves the day to the other one, also as `*/2`: then both must match.
        let both = !day.starts_with('*') && !weekday_field.starts_with('*');
        let schedules = if both {
            vec![schedule(day, "*")?, schedule("*", &weekdays)?]
        } else {
            vec![schedule(day, &weekdays)?]
        };
        Ok(Self { schedules, every_hour: hour.starts_with('*') })
    }

    /// The moments after this one, in order, on a clock that knows no zone.
    pub fn after(&self, moment: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let mut streams: Vec<_> =
            self.schedules.iter().map(|schedule| schedule.clone().after_owned(moment).peekable()).collect();
        std::iter::from_fn(move || {
            let next = streams.iter_mut().filter_map(|stream| stream.peek().copied()).min()?;
            for stream in &mut streams {
                while stream.peek() == Some(&next) {
                    stream.next();
                }
            }
            Some(next)
        })
    }
}

/// `?` is another spelling of `*` where a day is left open.
fn any(field: &str) -> &str {
    if field == "?" { "*" } else { field }
}

/// Days of the week as names, one by one, which the library understands as everybody does.
fn weekdays(field: &str) -> Result<String, String> {
    if field == "*" {
        return Ok("*".to_owned());
    }
    let mut days = [false; 7];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)),
            None => (part, Some(1)),
        };
        let step: usize = step.ok_or_else(|| format!("the weekday {part:?} has no proper step"))?;
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((from, to)) => (weekday(from)?, weekday(to)?),
            // As crontab has it, 2/3 begins on a Tuesday and goes on to the end of the week.
            None if step > 1 => (weekday(range)?, 6),
            None => (weekday(range)?, weekday(range)?),
        };
        // Saturday to Monday, and 5-7, go over the end of the week.
        let to = if to < from { to + 7 } else { to };
        for day in (from..=to).step_by(step) {
            days[day % 7] = true;
        }
    }
    let names: Vec<&str> = DAYS.into_iter().zip(days).filter(|(_, on)| *on).map(|(name, _)| name).collect();
    Ok(names.join(","))
}

fn weekday(text: &str) -> Result<usize, String> {
    let by_name = DAYS.iter().position(|name| name.eq_ignore_ascii_case(text));
    by_name.or_else(|| text.parse().ok().filter(|number| *number <= 7)).ok_or_else(|| {
        format!("{text:?} is no weekday; they are 0 to 7, where 0 and 7 are Sunday, or SUN to SAT")
    })
}
