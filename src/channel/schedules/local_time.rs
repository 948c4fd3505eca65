//! Times as clocks on the wall show them, without a zone: `2026-12-24T18:00`, or a whole day, `2026-12-24`.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::value::Datetime;

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime(pub NaiveDateTime);

/// The last moment of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// This day is the last one.
    Day(NaiveDate),
    /// This second is the last one.
    Time(LocalTime),
}

/// Why a text is no such time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalTimeError {
    /// It is not written like one, or there is no such day.
    #[error("{0:?} is no date and time like \"2026-12-24T18:00\"")]
    NoTime(String),
    /// It is neither of the two.
    #[error("{0:?} is neither a date like \"2026-12-24\" nor a date and time like \"2026-12-24T18:00\"")]
    NoUntil(String),
    /// The zone is another key.
    #[error(
        "{0:?} has an offset; write the time as the clocks of `timezone` show it, like \"2026-12-24T18:00\""
    )]
    Offset(String),
}

impl Until {
    /// The last second that counts.
    #[must_use]
    pub fn last(self) -> NaiveDateTime {
        match self {
            Self::Day(day) => day.and_time(NaiveTime::MIN) + chrono::TimeDelta::seconds(24 * 3600 - 1),
            Self::Time(time) => time.0,
        }
    }
}

impl FromStr for LocalTime {
    type Err = LocalTimeError;

    fn from_str(text: &str) -> Result<Self, LocalTimeError> {
        let parsed = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
            .into_iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            // The formats would take `2026-1-2`, which may be a slip of the pen.
            .filter(|_| text.len() == 16 || text.len() == 19);
        match parsed {
            Some(time) => Ok(Self(time)),
            None if chrono::DateTime::parse_from_rfc3339(text).is_ok() => {
                Err(LocalTimeError::Offset(text.to_owned()))
            }
            None => Err(LocalTimeError::NoTime(text.to_owned())),
        }
    }
}

impl FromStr for Until {
    type Err = LocalTimeError;

    fn from_str(text: &str) -> Result<Self, LocalTimeError> {
        if text.len() == 10
            && let Ok(day) = text.parse()
        {
            return Ok(Self::Day(day));
        }
        text.parse().map(Self::Time).map_err(|wrong| match wrong {
            LocalTimeError::NoTime(text) => LocalTimeError::NoUntil(text),
            other => other,
        })
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.format("%Y-%m-%dT%H:%M:%S").to_string();
        f.write_str(shown.strip_suffix(":00").filter(|shorter| shorter.len() == 16).unwrap_or(&shown))
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

/// TOML has dates and times of its own, which need no quotation marks.
#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrToml {
    Text(String),
    Toml(Datetime),
}

fn written<'de, T: FromStr<Err = LocalTimeError>, D: Deserializer<'de>>(given: D) -> Result<T, D::Error> {
    let written = TextOrToml::deserialize(given)
        .map_err(|_| D::Error::custom("it must be a date and time like \"2026-12-24T18:00\""))?;
    let text = match written {
        TextOrToml::Text(text) => text,
        TextOrToml::Toml(value) => value.to_string(),
    };
    text.parse().map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        written(given)
    }
}

impl<'de> Deserialize<'de> for Until {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        written(given)
    }
}

impl Serialize for LocalTime {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(self)
    }
}

impl Serialize for Until {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them_and_shown_in_one_way() {
        for (text, shown) in [
            ("2026-12-24T18:00", "2026-12-24T18:00"),
            ("2026-12-24 18:00:00", "2026-12-24T18:00"),
            ("2026-12-24T18:00:30", "2026-12-24T18:00:30"),
        ] {
            assert_eq!(text.parse::<LocalTime>().unwrap().to_string(), shown, "{text}");
        }
        assert_eq!("2026-12-24".parse::<Until>().unwrap().to_string(), "2026-12-24");
        assert_eq!("2026-12-24T18:00".parse::<Until>().unwrap().to_string(), "2026-12-24T18:00");
    }

    #[test]
    fn the_last_day_counts_to_its_end() {
        let day: Until = "2026-12-24".parse().unwrap();

        assert_eq!(LocalTime(day.last()).to_string(), "2026-12-24T23:59:59");
    }

    #[test]
    fn what_is_no_time_says_what_one_looks_like() {
        for (text, told) in [
            ("2026-12-24", "is no date and time like"),
            ("2026-2-30T18:00", "is no date and time like"),
            ("2026-12-4T18:00:5", "is no date and time like"),
            ("2026-12-24T18:00:00Z", "write the time as the clocks of `timezone` show it"),
            ("2026-12-24T18:00:00+01:00", "has an offset"),
            ("tomorrow", "is no date and time like"),
        ] {
            assert!(text.parse::<LocalTime>().unwrap_err().to_string().contains(told), "{text}");
        }
        assert!("2026-02-30".parse::<Until>().unwrap_err().to_string().contains("neither a date like"));
    }
}
