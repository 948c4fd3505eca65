//! Durations as operators write them, `"1500ms"`, `"90s"`, `"24h"`: in `config.toml`, in the environment and in schedules alike.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::Value;

/// The longest duration that is accepted. Added to a moment of any clock it cannot overflow.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// What an error suggests.
const REMEDY: &str = "it must be a duration like \"1500ms\", \"90s\" or \"24h\"";

/// The endings of keys that held plain numbers, and the unit that is written behind such a number now.
const FORMER_UNITS: [(&str, &str); 6] =
    [("_ms", "ms"), ("_secs", "s"), ("_seconds", "s"), ("_minutes", "m"), ("_hours", "h"), ("_days", "d")];

/// Whether this is a duration. The error says why not, and what one looks like.
pub fn check(value: &Value) -> Result<(), String> {
    let Some(text) = value.as_str() else { return Err(REMEDY.to_owned()) };
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(()),
        Ok(_) => Err("it must be at most 100 years".to_owned()),
        Err(error) => Err(format!("{error}: {REMEDY}")),
    }
}

/// Reads a list of them.
pub fn list<'de, D: Deserializer<'de>>(given: D) -> Result<Vec<Duration>, D::Error> {
    let list: Vec<humantime_serde::Serde<Duration>> = Deserialize::deserialize(given)?;
    Ok(list.into_iter().map(humantime_serde::Serde::into_inner).collect())
}

/// The present spelling of a key that had its unit in its name.
#[derive(Debug, PartialEq)]
pub struct Renamed<'a> {
    /// Its name now.
    pub name: &'a str,
    /// Its value now. `None`: the given value is not a number that could be converted.
    pub value: Option<Value>,
}

/// The present spelling of `key = value`, if the key has its unit in its name.
#[must_use]
pub fn renamed<'a>(key: &'a str, value: &Value) -> Option<Renamed<'a>> {
    let renamed = FORMER_UNITS.iter().find_map(|(ending, unit)| Some((key.strip_suffix(ending)?, *unit)));
    renamed.map(|(name, unit)| Renamed { name, value: with_unit(value, unit) })
}

fn with_unit(value: &Value, unit: &str) -> Option<Value> {
    match value {
        Value::Integer(number) => {
            Some(Value::String(format!("{number}{unit}"))).filter(|now| check(now).is_ok())
        }
        Value::Array(list) => {
            list.iter().map(|value| with_unit(value, unit)).collect::<Option<_>>().map(Value::Array)
        }
        _ => None,
    }
}

/// As a file has it: `debounce = "1500ms"`.
impl fmt::Display for Renamed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}", self.name),
            None => write!(f, "{}; {REMEDY}", self.name),
        }
    }
}

impl Renamed<'_> {
    /// As the environment has it: `CLOUDYBOT__AGENT__DEBOUNCE=1500ms`.
    #[must_use]
    pub fn as_variable(&self) -> String {
        match &self.value {
            Some(Value::String(text)) => format!("{}={text}", self.name),
            Some(value) => format!("{}={value}", self.name),
            None => self.to_string(),
        }
    }
}
