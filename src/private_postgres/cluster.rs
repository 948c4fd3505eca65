//! Starting, joining and sharing the cluster.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster_folders::ClusterFolders;
use crate::error::{Doing, Error};
use crate::launch::Launch;
use crate::lease::ClusterLease;
use crate::postmaster::{PORT, Postmaster};
use crate::server_binaries;

/// What cluster to run.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Where the cluster lives. As root it is made under `/var/lib` when the server's user cannot reach it.
    pub directory: PathBuf,
    /// The database, its user, and the folder under `/var/lib`: lower-case letters, digits and underscores.
    pub name: String,
    /// False (tests): a crash of the machine may lose the data, and everything is quicker. Data that no installed server can
    /// read is then made anew instead of being an error.
    pub durable: bool,
    /// How long the server stays up after the last process is gone, in whole seconds, so that the next one finds it running.
    /// The process that starts the server decides.
    pub linger: Duration,
    /// The folders where a server is looked for.
    pub search_path: Vec<PathBuf>,
    /// Whether one is fetched where there is none; the person at the machine can still forbid it.
    pub fetch: bool,
}

impl ClusterSettings {
    /// A durable cluster in this folder, on whatever server is installed in [`server_binaries::search_path`], else on a fetched one.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            name: name.into(),
            durable: true,
            linger: Duration::ZERO,
            search_path: server_binaries::search_path(),
            fetch: true,
        }
    }
}

/// A share in a running cluster; the server runs for as long as any process holds one.
#[derive(Debug)]
pub struct PrivatePostgres {
    folders: ClusterFolders,
    name: String,
    version: u32,
    started: bool,
    _share: File,
}

impl PrivatePostgres {
    /// Joins the running cluster, or starts it; blocks for some milliseconds, or for about a second when the cluster is new.
    ///
    /// Called again, by this process or another, it also repairs: a server that was killed is started anew.
    ///
    /// # Errors
    /// See [`Error`]; each says what to do.
    pub fn start(settings: &ClusterSettings) -> Result<Self, Error> {
        if !is_plain(&settings.name) {
            return Err(Error::Name(settings.name.clone()));
        }
        let folders = ClusterFolders::choose(settings)?;
        // One process starts the server; the others wait here and then join it.
        let _gate = folders.gate()?;
        let (share, started) = join_or_start(settings, &folders)?;
        let version = folders.data_version().ok_or(ErrorKind::NotFound.into());
        let version = version.doing(|| format!("read the version of {}", folders.data.display()))?;
        Ok(Self { folders, name: settings.name.clone(), version, started, _share: share })
    }

    /// Makes and starts a standby of this server in a place of its own; the server is stopped for a moment. The standby has these variables in its environment, and its primary knows it by
    /// this name.
    #[cfg(feature = "test-database")]
    pub(crate) fn start_standby(
        &self,
        settings: &ClusterSettings,
        name: &str,
        environment: &[(String, String)],
    ) -> Result<Self, Error> {
        let folders = ClusterFolders::choose(settings)?;
        let _gate = folders.gate()?;
        let launch = Launch::prepare(settings, &folders)?;
        self.postmaster().stop()?;
        launch.copy(&self.folders, &self.name, name)?;
        Launch::prepare(settings, &self.folders)?.serve(&[])?;
        let share = ClusterLease::in_folder(&folders.folder).open(&folders, settings.linger)?;
        launch.serve(environment)?;
        Ok(Self { folders, name: self.name.clone(), version: self.version, started: true, _share: share })
    }

    /// The database's address, for any PostgreSQL client.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// The address of another database in the cluster.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let host = percent_encode(&self.folders.socket_folder);
        format!("postgres://{}@localhost/{database}?host={host}&port={PORT}", self.name)
    }

    /// A command line that opens the database for a person, to be pasted into a shell.
    #[must_use]
    pub fn psql_line(&self) -> String {
        let psql = self.psql().display().to_string();
        let socket_folder = self.folders.socket_folder.display();
        format!("{psql} -h {socket_folder} -p {PORT} -U {name} {name}", name = self.name)
    }

    /// The server's major version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether this call started the server; false: it joined a running one.
    #[must_use]
    pub fn started(&self) -> bool {
        self.started
    }

    /// Where the cluster is; not the directory of the settings if the server's user could not reach that.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folders.folder
    }

    #[cfg(feature = "test-database")]
    pub(crate) fn postmaster(&self) -> Postmaster<'_> {
        Postmaster { folders: &self.folders }
    }

    /// Homebrew's versioned servers are not in `PATH`; their `psql` is beside the server.
    fn psql(&self) -> PathBuf {
        let path = env::var_os("PATH").unwrap_or_default();
        if env::split_paths(&path).any(|folder| folder.join("psql").exists()) {
            return "psql".into();
        }
        // The file holds the server's command line, as the server itself wrote it.
        let command_line = fs::read_to_string(self.folders.data.join("postmaster.opts")).unwrap_or_default();
        let server = command_line.split_whitespace().next().map(Path::new);
        let beside = server.and_then(Path::parent).map(|folder| folder.join("psql"));
        beside.filter(|psql| psql.exists()).unwrap_or_else(|| "psql".into())
    }
}

/// A share in the lease, and whether the server was started for it.
fn join_or_start(settings: &ClusterSettings, folders: &ClusterFolders) -> Result<(File, bool), Error> {
    let lease = ClusterLease::in_folder(&folders.folder);
    let postmaster = Postmaster { folders };
    let share = lease.join()?;
    let is_up = postmaster.is_up();
    match share {
        Some(share) if is_up => Ok((share, false)),
        // The server was killed under the processes that use it, but its watcher lives.
        Some(share) => {
            Launch::prepare(settings, folders)?.run()?;
            Ok((share, true))
        }
        // The watcher was killed, but the server lives, and perhaps processes that use it: they keep their connections.
        None if is_up && lease.is_orphaned() => Ok((lease.open(folders, settings.linger)?, false)),
        None => {
            let launch = Launch::prepare(settings, folders)?;
            // The watcher comes first: if this process is killed on the way, it stops what has been started.
            let share = lease.open(folders, settings.linger)?;
            launch.run()?;
            Ok((share, true))
        }
    }
}

fn is_plain(name: &str) -> bool {
    let is_plain_symbol = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 40
        && name.chars().all(is_plain_symbol)
}

fn percent_encode(path: &Path) -> String {
    let encode = |byte: &u8| {
        if byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { format!("%{byte:02X}") }
    };
    path.as_os_str().as_encoded_bytes().iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_needs_quotes_is_refused() {
        for name in ["", "1st", "Cloudy", "a-b", "a\"b", "../up", "ä"] {
            let error = PrivatePostgres::start(&ClusterSettings::new("nowhere", name)).unwrap_err();

            assert!(matches!(error, Error::Name(_)), "{name}: {error}");
        }
    }

    #[test]
    fn a_path_keeps_its_meaning_in_an_address() {
        assert_eq!(percent_encode(Path::new("/a b/c_d")), "%2Fa%20b%2Fc%5Fd");
    }
}
