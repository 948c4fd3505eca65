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

    /// The schedule whose file has this stem, if nothing is wrong with the file.
    pub(crate) fn find(&self, stem: &str, plans: &Plans) -> Result<&Schedule, FileError> {
        if let Some(error) = &self.unreadable {
            return Err(FileError::Unreadable(error.clone()));
        }
        let wrong = self.errors_of(stem);
        if !wrong.is_empty() {
            return Err(FileError::Wrong(wrong));
        }
        let Some(schedule) = self.folder.schedules.iter().find(|schedule| schedule.name.as_str() == stem)
        else {
            return Err(FileError::Unknown { name: stem.to_owned(), known: self.stems() });
        };
        schedule.check_plan(plans).map_err(|error| FileError::Wrong(vec![error.to_string()]))?;
        Ok(schedule)
    }

    /// Why the file with this stem cannot be read.
    pub(crate) fn errors_of(&self, stem: &str) -> Vec<String> {
        let own = self.folder.errors.iter().filter(|error| error.name == stem).map(ToString::to_string);
        self.unreadable.iter().cloned().chain(own).collect()
    }

    /// Of all files, the wrong ones too.
    fn stems(&self) -> Vec<String> {
        let right = self.folder.schedules.iter().map(|schedule| schedule.name.as_str());
        let all: std::collections::BTreeSet<&str> =
            right.chain(self.folder.errors.iter().map(|error| error.name.as_str())).collect();
        all.into_iter().map(str::to_owned).collect()
    }
}

/// The names that would have been right.
pub(crate) fn listed(known: &[String]) -> String {
    if known.is_empty() { "there is no other".to_owned() } else { format!("there are {}", known.join(", ")) }
}
