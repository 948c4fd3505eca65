//! What can go wrong, with remedies.

use std::io;
use std::path::PathBuf;

use crate::fetched_server::NotFetched;

/// Why there is no private database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PostgreSQL server on this machine, and none was fetched.
    #[error(
        "no PostgreSQL server is installed here{0}; do one of these:\n  \
         set DATABASE_URL=postgres://user:password@host/database   (for tests TEST_DATABASE_URL)\n  \
         apt-get install postgresql            (Debian, Ubuntu)\n  \
         brew install postgresql@17            (macOS){fetching}",
        fetching = .0.remedy()
    )]
    NoServer(NotFetched),
    /// Not a way to fetch.
    #[error("CLOUDYBOT_FETCH_POSTGRES={0:?}: use \"never\", or \"once\", which is the default")]
    FetchSetting(String),
    /// The data needs a server that is not installed.
    #[error(
        "the data in {data} was made by PostgreSQL {wanted}, and installed here: {found}; \
         install version {wanted}, set DATABASE_URL, or move the data away to begin anew"
    )]
    WrongVersion {
        /// The cluster's folder.
        data: PathBuf,
        /// Its major version.
        wanted: u32,
        /// What is installed, for people.
        found: String,
    },
    /// A server refuses to run as root, and there is nobody else.
    #[error(
        "running as root, and there is no user `postgres` or `nobody` to run the database as; \
         create one, or set DATABASE_URL"
    )]
    NoServerUser,
    /// The name is used in SQL, in a path and in an address, so it has to be plain.
    #[error("database name {0:?}: use lower-case letters, digits and underscores, and begin with a letter")]
    Name(String),
    /// `initdb` failed.
    #[error("cannot make a cluster: initdb says: {0}")]
    InitDb(String),
    /// The database could not be created in the cluster.
    #[error("cannot create database {name}: the server says: {answer}")]
    CreateDatabase {
        /// The database.
        name: String,
        /// The end of what the server said.
        answer: String,
    },
    /// The server ended while it was starting.
    #[error("the PostgreSQL server did not start; the end of {log}:\n{tail}")]
    ServerEnded {
        /// Where it writes.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server did not get ready, or did not stop, in the time it has.
    #[error("the PostgreSQL server was not {state} after {seconds} s; see {log}")]
    TooSlow {
        /// What was waited for: `ready` or `stopped`.
        state: &'static str,
        /// How long was waited.
        seconds: u64,
        /// Where it writes.
        log: PathBuf,
    },
    /// A folder belongs to somebody else.
    #[error(
        "{path} must be a folder that belongs to user id {uid}; move it away or choose another data directory"
    )]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// Who must own it.
        uid: u32,
    },
    /// A file or a process could not be handled.
    #[error("cannot {deed}: {reason}")]
    Io {
        /// What was tried.
        deed: String,
        /// Why it failed; part of the message, so it is not repeated as a source.
        reason: io::Error,
    },
}

/// Names what was tried when an operation fails.
pub(crate) trait Doing<T> {
    fn doing(self, deed: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, deed: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|reason| Error::Io { deed: deed(), reason })
    }
}
