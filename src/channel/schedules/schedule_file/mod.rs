//! A schedule's file, `schedules/NAME.toml`. It is read strictly: a typo is an error with its line, never a schedule that does something else. All that
//! is wrong with a file is told at once.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};
use store::ids::ScheduleName;

use super::definition::Definition;
use super::except_item;
use super::timing::Timing;
use super::zone_choice::ZoneChoice;
use crate::plans::Plans;
use checks::Wrong;

/// What cannot be meant.
mod checks;
/// From TOML to a definition, and back to the lines.
mod reading;

/// A definition that makes sense.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The file's stem.
    pub name: ScheduleName,
    /// As it stands in the file.
    pub definition: Definition,
    /// When it falls due …
    pub timing: Timing,
    /// … on whose clocks.
    pub zone: ZoneChoice,
    /// Of everything in the file that has a meaning: two processes with one hash do the same.
    pub hash: String,
    /// Where the file names its audience's plan.
    plan_line: Option<usize>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionError {
    /// The file's stem, which may be no schedule's name.
    pub name: String,
    /// Where; `None` when the file's name is wrong, or something that is not there.
    pub line: Option<usize>,
    /// What.
    pub reason: String,
}

impl std::error::Error for DefinitionError {}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule {}", self.name)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What a folder of schedules holds.
#[derive(Debug, Default)]
pub struct Folder {
    /// What can be read.
    pub schedules: Vec<Schedule>,
    /// What is wrong with the rest; a file may have several entries.
    pub errors: Vec<DefinitionError>,
    /// Names of files and folders that are no schedules: folders, hidden files, and whatever does not end in `.toml`.
    pub ignored: Vec<String>,
}

impl Folder {
    /// A sentence on each name that is no schedule.
    pub fn ignored_in_words(&self) -> impl Iterator<Item = String> {
        self.ignored
            .iter()
            .map(|name| format!("{name} is ignored; a schedule is a file NAME.toml, not hidden"))
    }
}

impl Schedule {
    /// Reads the text of a file with this stem; its calendars are in this folder. The errors are in the order of the lines.
    pub fn parse(stem: &str, text: &str, folder: &Path) -> Result<Self, Vec<DefinitionError>> {
        let mut read = reading::read(text);
        let mut wrong: Vec<(Option<usize>, String)> = read.wrong;
        let is_whole = wrong.is_empty();
        if let Some(definition) = &mut read.definition {
            match except_item::resolved(&definition.except, folder) {
                Ok(days) => definition.except = days,
                Err(errors) => {
                    let line = reading::line_of(text, &["except"]);
                    wrong.extend(errors.into_iter().map(|error| (line, format!("except: {error}"))));
                }
            }
        }
        let meant = read.definition.map(|definition| Self::meant(stem, definition));
        let schedule = match meant {
            Some(Ok(schedule)) => Some(schedule),
            Some(Err(of_meaning)) => {
                let line = |wrong: &Wrong| reading::line_of(text, wrong.key);
                let of_meaning = of_meaning.into_iter().filter(|wrong| is_whole || !wrong.names_none);
                wrong.extend(of_meaning.map(|wrong| (line(&wrong), wrong.reason)));
                None
            }
            None => None,
        };
        match schedule.filter(|_| wrong.is_empty()) {
            Some(mut schedule) => {
                schedule.plan_line = reading::line_of(text, &["audience", "plan"]);
                Ok(schedule)
            }
            None => {
                wrong.sort();
                wrong.dedup();
                let error = |(line, reason)| DefinitionError { name: stem.to_owned(), line, reason };
                Err(wrong.into_iter().map(error).collect())
            }
        }
    }

    /// A definition that was kept in the database.
    pub fn of(name: &ScheduleName, definition: Definition) -> Result<Self, DefinitionError> {
        Self::meant(name.as_str(), definition).map_err(|wrong| DefinitionError {
            name: name.to_string(),
            line: None,
            reason: wrong.into_iter().next().map(|wrong| wrong.reason).unwrap_or_default(),
        })
    }

    fn meant(stem: &str, definition: Definition) -> Result<Self, Vec<Wrong>> {
        let checked = checks::check(stem, &definition)?;
        let canonical = serde_json::to_vec(&definition).unwrap_or_default();
        let hash: String = Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            name: checked.name,
            definition,
            timing: checked.timing,
            zone: checked.zone,
            hash,
            plan_line: None,
        })
    }

    /// Whether its audience's plan is one that the operator has.
    pub fn check_plan(&self, plans: &Plans) -> Result<(), DefinitionError> {
        let Some(plan) = self.definition.audience.plan.as_deref().filter(|plan| plans.find(plan).is_none())
        else {
            return Ok(());
        };
        let known: Vec<&str> = plans.all().iter().map(|plan| plan.name.as_str()).collect();
        let reason = format!("[audience] there is no plan {plan:?}; the plans are {}", known.join(", "));
        Err(DefinitionError { name: self.name.to_string(), line: self.plan_line, reason })
    }
}

/// Reads every file of a folder. A folder that is not there has no schedules.
pub fn read_folder(folder: &Path) -> std::io::Result<Folder> {
    let mut found = Folder::default();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    // Of a folder that can be read in part, the rest would seem to be gone.
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        if !may_be_schedule(&path) {
            let name = path.file_name().unwrap_or_default();
            found.ignored.push(name.to_string_lossy().into_owned());
            continue;
        }
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                match Schedule::parse(&name, &text, folder) {
                    Ok(schedule) => found.schedules.push(schedule),
                    Err(errors) => found.errors.extend(errors),
                }
                texts.push(text);
            }
            Err(error) => found.errors.push(DefinitionError {
                name,
                line: None,
                reason: format!("it cannot be read: {error}"),
            }),
        }
    }
    // A calendar that a schedule names is not ignored.
    found.ignored.retain(|name| !(name.ends_with(".ics") && texts.iter().any(|text| text.contains(name))));
    Ok(found)
}

/// Editors and copying programs leave hidden files beside the ones that they touch, `.#x.toml` and `._x.toml` say.
fn may_be_schedule(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.ends_with(b".toml") && !name.starts_with(b".") && !path.is_dir()
}

#[cfg(test)]
mod tests;
