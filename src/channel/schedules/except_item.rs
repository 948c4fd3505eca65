//! What a schedule's file excepts: days, or a calendar of them.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::excepted_days::calendar::{self, LineError};
use super::excepted_days::day_rule::{DayRule, WrongDayRule};

/// One entry of `except`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum ExceptItem {
    /// Some days.
    Days(DayRule),
    /// A file beside the schedule's, with all-day events. The database has its days instead, so that an edit of it is an edit of the schedule.
    Calendar(String),
}

/// What is wrong with a calendar.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// Its name leads elsewhere.
    #[error("{0:?} must be a file beside the schedule's, without a folder")]
    Elsewhere(String),
    /// It is not there, or may not be read.
    #[error("{name} cannot be read: {why}")]
    Unreadable {
        /// The file.
        name: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// A line of it.
    #[error("{name}, {error}")]
    Line {
        /// The file.
        name: String,
        /// Which, and what.
        error: LineError,
    },
}

/// The entries with their calendars read from this folder; or all that is wrong with the calendars.
pub fn resolved(items: &[ExceptItem], folder: &Path) -> Result<Vec<ExceptItem>, Vec<CalendarError>> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            ExceptItem::Days(_) => found.push(item.clone()),
            ExceptItem::Calendar(name) => match read(name, folder) {
                Ok(days) => found.extend(days.into_iter().map(ExceptItem::Days)),
                Err(errors) => wrong.extend(errors),
            },
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

fn read(name: &str, folder: &Path) -> Result<Vec<DayRule>, Vec<CalendarError>> {
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Err(vec![CalendarError::Elsewhere(name.to_owned())]);
    }
    let file = std::fs::read(folder.join(name))
        .map_err(|why| vec![CalendarError::Unreadable { name: name.to_owned(), why }])?;
    calendar::read_ics(&file).map_err(|errors| {
        let of_line = |error| CalendarError::Line { name: name.to_owned(), error };
        errors.into_iter().map(of_line).collect()
    })
}

impl TryFrom<String> for ExceptItem {
    type Error = WrongDayRule;

    fn try_from(text: String) -> Result<Self, WrongDayRule> {
        if text.to_ascii_lowercase().ends_with(".ics") {
            return Ok(Self::Calendar(text));
        }
        text.parse().map(Self::Days)
    }
}

impl From<ExceptItem> for String {
    fn from(item: ExceptItem) -> Self {
        item.to_string()
    }
}

impl fmt::Display for ExceptItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(rule) => rule.fmt(f),
            Self::Calendar(name) => f.write_str(name),
        }
    }
}
