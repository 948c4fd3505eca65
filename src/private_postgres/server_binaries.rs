//! Finds the installed server: in `PATH`, and where distributions, Homebrew and Postgres.app put it.

use std::env;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::fetched_server::NotFetched;

/// Folders with one wildcard each; `*` stands for any ending of that name.
const USUAL_PLACES: [&str; 7] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// How long a program may be busy, and how long in between it is tried again.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// A folder with `postgres`, `initdb` and `pg_ctl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBinaries {
    /// The server's major version.
    pub version: u32,
    /// Where its programs are.
    pub folder: PathBuf,
}

/// Where servers are looked for on this machine.
#[must_use]
pub fn search_path() -> Vec<PathBuf> {
    let from_path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&from_path).chain(USUAL_PLACES.iter().flat_map(|place| expand(place))).collect()
}

/// The newest server in these folders, or the one of the version that existing data needs; of equals the first.
pub(crate) fn find(folders: &[PathBuf], data: &Path, wanted: Option<u32>) -> Result<ServerBinaries, Error> {
    let mut found: Vec<ServerBinaries> = Vec::new();
    for folder in folders {
        if let Some(server) = server_in(folder)
            && !found.contains(&server)
        {
            found.push(server);
        }
    }
    let fits = found.iter().filter(|server| wanted.is_none_or(|version| server.version == version));
    // The last of equal maxima is taken, hence the reversal.
    match (fits.rev().max_by_key(|server| server.version), wanted) {
        (Some(server), _) => Ok(server.clone()),
        (None, Some(wanted)) => {
            let versions: Vec<String> = found.iter().map(|server| server.version.to_string()).collect();
            let found = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
            Err(Error::WrongVersion { data: data.to_owned(), wanted, found })
        }
        (None, None) => Err(Error::NoServer(NotFetched::NotWanted)),
    }
}

/// The server in a folder that should have one; else what is wrong, which may be the words of this machine's loader.
pub(crate) fn check(folder: &Path) -> Result<ServerBinaries, String> {
    if let Some(server) = server_in(folder) {
        return Ok(server);
    }
    let postgres = folder.join("postgres");
    let output = version_of(&postgres).map_err(|error| format!("{}: {error}", postgres.display()))?;
    let words = String::from_utf8_lossy(&output.stderr);
    Err(words.lines().next().map_or_else(|| format!("{} is not complete", folder.display()), str::to_owned))
}

fn server_in(folder: &Path) -> Option<ServerBinaries> {
    // `/usr/local/bin/postgres` may be a link into the real folder.
    let postgres = folder.join("postgres").canonicalize().ok()?;
    let folder = postgres.parent()?.to_owned();
    if !["initdb", "pg_ctl"].iter().all(|program| folder.join(program).exists()) {
        return None;
    }
    let answer = version_of(&postgres).ok()?;
    let version = major_version(&String::from_utf8_lossy(&answer.stdout))?;
    Some(ServerBinaries { version, folder })
}

/// A program that was just unpacked cannot be run while a child that another thread has started holds it open.
fn version_of(postgres: &Path) -> io::Result<Output> {
    let begun = Instant::now();
    loop {
        match Command::new(postgres).arg("--version").stdin(Stdio::null()).output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && begun.elapsed() < BUSY_LIMIT => {
                thread::sleep(BUSY_PAUSE);
            }
            answer => return answer,
        }
    }
}

/// 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; 18 of `… 18beta1`.
fn major_version(text: &str) -> Option<u32> {
    let number = text.split_whitespace().nth(2)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((head, tail)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (folder, prefix) = head.rsplit_once('/').unwrap_or(("", head));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let fitting = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    fitting.map(|entry| entry.path().join(tail.trim_start_matches('/'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_the_server_says() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn without_a_server_the_remedies_are_told() {
        let error = find(&[], Path::new("data"), None).unwrap_err().to_string();

        for remedy in ["DATABASE_URL=", "apt-get install postgresql", "brew install postgresql@17"] {
            assert!(error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn data_of_another_version_is_not_touched() {
        let error = find(&search_path(), Path::new("data"), Some(7)).unwrap_err();

        assert!(matches!(error, Error::WrongVersion { wanted: 7, .. }), "{error}");
    }
}
