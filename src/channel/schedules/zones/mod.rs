//! The time zone rules that schedules go by: one release of the IANA Time Zone Database (tzdata). It is the machine's or the compiled-in one, whichever
//! is newer. Jiff by itself takes the machine's files however old they are; a duty would then come an hour late.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use release::Release;
use tz::Tz;

/// A release of tzdata: its name, its order, its age.
pub mod release;
/// A time zone, as chrono uses it.
pub mod tz;

/// The rules of this process. They are global, since zones are looked up wherever a definition is read: from files, rows and jobs. They are chosen
/// once, since one slot would have two moments under two releases.
static RULES: OnceLock<ZoneRules> = OnceLock::new();

/// Files of a zoneinfo folder that are zones without a name: what they mean depends on the machine.
const NAMELESS: [&str; 2] = ["localtime", "posixrules"];

/// The rules of one release.
#[derive(Debug)]
pub struct ZoneRules {
    folder: PathBuf,
    compiled: Release,
    /// The release in the folder, or why there is none.
    machine: Result<Release, String>,
    zones: HashMap<String, TimeZone>,
}

/// A name that the rules do not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {name:?}; {remedy}")]
pub struct UnknownZone {
    name: String,
    remedy: String,
}

/// Chooses the rules of this process: the compiled-in ones or those of this zoneinfo folder. With an empty path it chooses the compiled-in ones. The
/// first choice stays.
pub fn choose(folder: &Path) -> &'static ZoneRules {
    RULES.get_or_init(|| ZoneRules::load(folder))
}

/// The rules of this process; the compiled-in ones if nobody has chosen, as in unit tests.
pub fn rules() -> &'static ZoneRules {
    choose(Path::new(""))
}

impl ZoneRules {
    /// Reads the newer release of the two. A folder without a readable release is no choice.
    #[must_use]
    pub fn load(folder: &Path) -> Self {
        let compiled = Release::compiled();
        let mut zones = compiled_zones();
        let machine = Release::of_folder(folder).and_then(|release| {
            if release.is_newer_than(&compiled) {
                // A zone that the folder lacks keeps the compiled-in rules.
                zones.extend(folder_zones(folder)?);
            }
            Ok(release)
        });
        Self { folder: folder.to_owned(), compiled, machine, zones }
    }

    /// The zone of this name, spelled exactly so.
    pub fn zone(&'static self, name: &str) -> Result<Tz, UnknownZone> {
        if let Some((name, rules)) = self.zones.get_key_value(name) {
            return Ok(Tz::new(name, rules));
        }
        let meant = self.zones.keys().find(|known| known.eq_ignore_ascii_case(name));
        let remedy = meant.map_or_else(
            || "one like Europe/Berlin is needed".to_owned(),
            |meant| format!("is {meant} meant?"),
        );
        Err(UnknownZone { name: name.to_owned(), remedy })
    }

    /// The zones that are named for a place, by name, and UTC: among these a person finds their own.
    #[must_use]
    pub fn places(&self) -> Vec<&str> {
        const REGIONS: [&str; 10] = [
            "Africa/",
            "America/",
            "Antarctica/",
            "Arctic/",
            "Asia/",
            "Atlantic/",
            "Australia/",
            "Europe/",
            "Indian/",
            "Pacific/",
        ];
        let is_place = |name: &&str| *name == "UTC" || REGIONS.iter().any(|region| name.starts_with(region));
        let mut names: Vec<&str> = self.zones.keys().map(String::as_str).filter(is_place).collect();
        names.sort_unstable();
        names
    }

    /// The release in use.
    #[must_use]
    pub fn release(&self) -> &Release {
        self.machine.as_ref().ok().filter(|_| self.are_machines()).unwrap_or(&self.compiled)
    }

    /// Whether the machine's release is the one in use.
    #[must_use]
    pub fn are_machines(&self) -> bool {
        self.machine.as_ref().is_ok_and(|machine| machine.is_newer_than(&self.compiled))
    }

    /// The release that is compiled in.
    #[must_use]
    pub fn compiled(&self) -> &Release {
        &self.compiled
    }

    /// The machine's release, if it can be read.
    #[must_use]
    pub fn machine(&self) -> Option<&Release> {
        self.machine.as_ref().ok()
    }

    /// What a person should mend, and how; by the database's clock, where it is known.
    #[must_use]
    pub fn warnings(&self, now: Option<DateTime<Utc>>) -> Vec<String> {
        self.older_machine().into_iter().chain(now.and_then(|now| self.old_age(now))).collect()
    }

    /// The machine's rules are older than the compiled-in ones: what a person should mend for other programs.
    #[must_use]
    pub fn older_machine(&self) -> Option<String> {
        let machine = self.machine().filter(|machine| self.compiled.is_newer_than(machine))?;
        Some(format!(
            "the machine's time zone rules in {} are tzdata {machine}, older than the compiled-in {}, which count: upgrade its package tzdata",
            self.folder.display(),
            self.compiled
        ))
    }

    /// The rules in use are too old by the database's clock, and what helps.
    #[must_use]
    pub fn old_age(&self, now: DateTime<Utc>) -> Option<String> {
        let in_use = self.release();
        in_use.is_over_a_year_old(now).then(|| {
            format!(
                "the time zone rules in use, tzdata {in_use}, are over a year old: upgrade the machine's package tzdata, or this program, and \
                 start it again"
            )
        })
    }
}

impl fmt::Display for ZoneRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (compiled, folder) = (&self.compiled, self.folder.display());
        match &self.machine {
            Ok(machine) if self.are_machines() => {
                write!(f, "tzdata {machine} of {folder}; {compiled} is compiled in")
            }
            Ok(machine) => write!(f, "tzdata {compiled}, compiled in; {folder} has {machine}"),
            Err(why) => write!(f, "tzdata {compiled}, compiled in; {why}"),
        }
    }
}

fn compiled_zones() -> HashMap<String, TimeZone> {
    let database = TimeZoneDatabase::bundled();
    database.available().filter_map(|name| named(&database, name.as_str())).collect()
}

/// The zones of a zoneinfo folder, with those names that only its list of links has: a machine may lack the files of former names.
fn folder_zones(folder: &Path) -> Result<HashMap<String, TimeZone>, String> {
    let database = TimeZoneDatabase::from_dir(folder).map_err(|error| error.to_string())?;
    let mut zones: HashMap<String, TimeZone> = database
        .available()
        .filter(|name| !NAMELESS.contains(&name.as_str()))
        .filter_map(|name| named(&database, name.as_str()))
        .collect();
    if zones.is_empty() {
        return Err(format!("no time zone can be read in {}", folder.display()));
    }
    let list = std::fs::read(folder.join("tzdata.zi")).unwrap_or_default();
    for line in String::from_utf8_lossy(&list).lines() {
        let mut words = line.split_ascii_whitespace();
        let link = (words.next(), words.next(), words.next());
        if let (Some("L"), Some(target), Some(name)) = link
            && let Some(zone) = zones.get(target).cloned()
        {
            zones.entry(name.to_owned()).or_insert(zone);
        }
    }
    Ok(zones)
}

fn named(database: &TimeZoneDatabase, name: &str) -> Option<(String, TimeZone)> {
    database.get(name).ok().map(|zone| (name.to_owned(), zone))
}

#[cfg(test)]
mod tests;
