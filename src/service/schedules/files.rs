//! The schedules' files of this process's folder, read anew for each question.

use std::path::Path;

use channel::plans::Plans;
use channel::schedules::schedule_file::{self, Folder, Schedule};

use super::findings::Findings;

/// The files as they are now.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) folder: Folder,
    /// What is wrong with them.
    pub(crate) findings: Findings,
    /// Why the folder cannot be read; nothing is known of its files then.
    pub(crate) unreadable: Option<String>,
}

/// Why a schedule has no file that could be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// There is none of this name.
    #[error("there is no file {name}.toml in the folder; {}", listed(.known))]
    Unknown { name: String, known: Vec<String> },
    /// All that is wrong with it.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
    /// The folder cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl Files {
    /// Reads the folder off the async threads, and judges its files by these plans.
    pub(crate) async fn read(directory: &Path, plans: &Plans) -> Self {
        let (directory, plans) = (directory.to_owned(), plans.clone());
        let path = directory.display().to_string();
        let read = tokio::task::spawn_blocking(move || {
            let folder = schedule_file::read_folder(&directory)?;
            let findings = Findings::of_files(&folder, &plans);
            Ok(Self { folder, findings, unreadable: None })
        });
        read.await.unwrap_or_else(|error| Err(std::io::Error::other(error))).unwrap_or_else(|error| {
            let unreadable = format!("cannot read {path}: {error}");
            let findings = Findings { wrong: vec![unreadable.clone()], ..Findings::default() };
            Self { folder: Folder::default(), findings, unreadable: Some(unreadable) }
        })
    }

    /// The schedule of this name, if nothing is wrong with its file.
    pub(crate) fn find(&self, name: &str, plans: &Plans) -> Result<&Schedule, FileError> {
        if let Some(error) = &self.unreadable {
            return Err(FileError::Unreadable(error.clone()));
        }
        let wrong = self.errors_of(name);
        if !wrong.is_empty() {
            return Err(FileError::Wrong(wrong));
        }
        let Some(schedule) = self.folder.schedules.iter().find(|schedule| schedule.name == name) else {
            return Err(FileError::Unknown { name: name.to_owned(), known: self.names() });
        };
        schedule.check_plan(plans).map_err(|error| FileError::Wrong(vec![error.to_string()]))?;
        Ok(schedule)
    }

    /// Why the file of this name cannot be read.
    pub(crate) fn errors_of(&self, name: &str) -> Vec<String> {
        let own = self.folder.errors.iter().filter(|error| error.name == name).map(ToString::to_string);
        self.unreadable.iter().cloned().chain(own).collect()
    }

    /// Of all files, the wrong ones too.
    fn names(&self) -> Vec<String> {
        let right = self.folder.schedules.iter().map(|schedule| &schedule.name);
        let all: std::collections::BTreeSet<&String> =
            right.chain(self.folder.errors.iter().map(|error| &error.name)).collect();
        all.into_iter().cloned().collect()
    }
}

/// The names that would have been right.
pub(crate) fn listed(known: &[String]) -> String {
    if known.is_empty() { "there is no other".to_owned() } else { format!("there are {}", known.join(", ")) }
}
