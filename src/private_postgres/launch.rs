//! Making a cluster, creating its database, and launching its server.

use std::fs;
#[cfg(feature = "test-database")]
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
#[cfg(feature = "test-database")]
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::ClusterSettings;
use crate::cluster_folders::ClusterFolders;
use crate::error::{Doing, Error};
use crate::fetched_server;
use crate::postmaster::{POLL, PORT, Postmaster};
use crate::process;
use crate::server_binaries::{self, ServerBinaries};

/// A first start on a slow disk takes seconds; a minute means that something is wrong.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the children of a server that was killed may take to notice it and go.
const ORPHANS_TIMEOUT: Duration = Duration::from_secs(30);

/// For every cluster: no TCP, a socket for its own user, one time zone.
const SETTINGS: [&str; 4] =
    ["listen_addresses=", "unix_socket_permissions=0700", "timezone=UTC", "log_timezone=UTC"];

/// Several processes of the service, each with its pools.
const DURABLE: [&str; 1] = ["max_connections=200"];

/// Many tests at once, each with its pools, and nothing that has to survive the machine.
const FLEETING: [&str; 5] = [
    "max_connections=400",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=64MB",
];

/// A cluster whose server is about to be started.
pub(crate) struct Launch<'a> {
    settings: &'a ClusterSettings,
    folders: &'a ClusterFolders,
    server: ServerBinaries,
}

impl<'a> Launch<'a> {
    /// Finds a server for the cluster, and ends what is left of the last one. Only for the process that passed the gate, when
    /// nobody uses the cluster.
    pub(crate) fn prepare(settings: &'a ClusterSettings, folders: &'a ClusterFolders) -> Result<Self, Error> {
        let find = |version| find_server(settings, folders, version);
        let server = match find(folders.data_version()) {
            Err(Error::WrongVersion { .. }) if !settings.durable => {
                Postmaster { folders }.stop()?;
                remove_data(folders)?;
                find(None)?
            }
            found => found?,
        };
        Postmaster { folders }.stop()?;
        Ok(Self { settings, folders, server })
    }

    /// Returns when clients can connect.
    pub(crate) fn run(&self) -> Result<(), Error> {
        if self.folders.data_version().is_none() {
            self.init()?;
        }
        match self.start_when_orphans_are_gone() {
            // Without fsync a crash of the machine can leave files that no server reads; tests want a cluster, not this one.
            Err(error @ Error::ServerEnded { .. }) if !self.settings.durable => {
                tracing::warn!(%error, "The cluster for tests is made anew");
                remove_data(self.folders)?;
                self.init()?;
                self.start()
            }
            started => started,
        }
    }

    /// Makes the cluster a standby of this server, which must be stopped. To the primary it is known by this name. Not every server
    /// comes with `pg_basebackup`.
    #[cfg(feature = "test-database")]
    pub(crate) fn copy(&self, primary: &ClusterFolders, user: &str, name: &str) -> Result<(), Error> {
        let data = &self.folders.data;
        let mut copy = self.folders.user.command(Path::new("cp"), &self.folders.folder);
        copy.arg("-R").arg(&primary.data).arg(data).stdin(Stdio::null());
        let output = copy.output().doing(|| "run cp".to_owned())?;
        if !output.status.success() {
            return Err(Error::InitDb(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let host = primary.socket_folder.display();
        let line =
            format!("primary_conninfo = 'host={host} port={PORT} user={user} application_name={name}'\n");
        let settings = OpenOptions::new().append(true).open(data.join("postgresql.auto.conf"));
        let told = settings.and_then(|mut settings| settings.write_all(line.as_bytes()));
        told.and_then(|()| fs::write(data.join("standby.signal"), ""))
            .doing(|| format!("make a standby of {}", data.display()))
    }

    /// Makes the cluster beside its place and moves it there, so that a killed `initdb` leaves no half cluster behind.
    fn init(&self) -> Result<(), Error> {
        self.remove_unfinished();
        // The id keeps away an `initdb` that outlived its parent and still writes.
        let unfinished = self.folders.folder.join(format!("pgdata.new-{}", std::process::id()));
        let mut initdb = self.program("initdb");
        initdb.arg("-D").arg(&unfinished).args(["-U", &self.settings.name]);
        initdb.args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions"]);
        if !self.settings.durable {
            initdb.arg("--no-sync");
        }
        let output = initdb.stdin(Stdio::null()).output().doing(|| "run initdb".to_owned())?;
        if !output.status.success() {
            return Err(Error::InitDb(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let data = &self.folders.data;
        fs::rename(&unfinished, data).doing(|| format!("move the new cluster to {}", data.display()))
    }

    fn remove_unfinished(&self) {
        let entries = fs::read_dir(&self.folders.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("pgdata.new")) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }

    /// The children of a killed server hold its memory until they notice, and a new one refuses to start beside them.
    fn start_when_orphans_are_gone(&self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            match self.start() {
                Err(Error::ServerEnded { tail, .. })
                    if tail.contains("shared memory block") && begun.elapsed() < ORPHANS_TIMEOUT =>
                {
                    thread::sleep(POLL * 10);
                }
                result => return result,
            }
        }
    }

    fn start(&self) -> Result<(), Error> {
        // A copied or unpacked project may have lost it, and the server insists.
        fs::set_permissions(&self.folders.data, fs::Permissions::from_mode(0o700))
            .doing(|| format!("close {} to others", self.folders.data.display()))?;
        self.create_database()?;
        self.serve(&[])
    }

    /// Starts the server on what data there is, with these variables in its environment.
    pub(crate) fn serve(&self, environment: &[(String, String)]) -> Result<(), Error> {
        let log = self.folders.open_log()?;
        let log_too = log.try_clone().doing(|| "share the server's log".to_owned())?;
        let mut postgres = self.program("postgres");
        postgres.envs(environment.iter().map(|(name, value)| (name, value)));
        postgres.arg("-D").arg(&self.folders.data).arg("-p").arg(PORT.to_string());
        postgres.arg("-c").arg(format!("unix_socket_directories={}", self.folders.socket_folder.display()));
        for setting in SETTINGS.iter().chain(self.own_settings()) {
            postgres.args(["-c", setting]);
        }
        // In a group of its own: Ctrl-C in the terminal is for the program, not for its database.
        let spawned = postgres.stdin(Stdio::null()).stdout(log).stderr(log_too).process_group(0).spawn();
        let mut postgres =
            spawned.doing(|| format!("start {}", self.server.folder.join("postgres").display()))?;
        let ready = self.wait_until_ready(&mut postgres);
        process::reap(postgres, "database server");
        ready
    }

    /// Creates the program's own database if it is not there, through a server without a socket: no client program has to be
    /// installed, and nobody can connect before the database exists.
    fn create_database(&self) -> Result<(), Error> {
        let name = &self.settings.name;
        let mut single = self.program("postgres");
        single.arg("--single").arg("-D").arg(&self.folders.data);
        for setting in self.own_settings() {
            single.args(["-c", setting]);
        }
        single.arg("postgres").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut single = single.spawn().doing(|| "run postgres --single".to_owned())?;
        if let Some(mut stdin) = single.stdin.take() {
            // That it exists already is an error to the server and none to us: the last line is the proof.
            let statements =
                format!("CREATE DATABASE {name}\nSELECT datname FROM pg_database WHERE datname = '{name}'\n");
            // One that ends at once does not read; its own words, below, are a better message than a broken pipe.
            let _ = stdin.write_all(statements.as_bytes());
        }
        let output = single.wait_with_output().doing(|| "wait for postgres --single".to_owned())?;
        let answer = last_lines(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            let _ = self.folders.open_log()?.write_all(&output.stderr);
            return Err(Error::ServerEnded { log: self.folders.log_path(), tail: answer });
        }
        if String::from_utf8_lossy(&output.stdout).contains(&format!("datname = \"{name}\"")) {
            return Ok(());
        }
        Err(Error::CreateDatabase { name: name.clone(), answer })
    }

    fn wait_until_ready(&self, server: &mut Child) -> Result<(), Error> {
        let begun = Instant::now();
        let postmaster = Postmaster { folders: self.folders };
        let log = self.folders.log_path();
        loop {
            let is_ours = postmaster.recorded_pid() == Some(rustix::process::Pid::from_child(server));
            if is_ours && postmaster.is_ready() {
                return Ok(());
            }
            if server.try_wait().doing(|| "watch the server start".to_owned())?.is_some() {
                let tail = last_lines(&fs::read_to_string(&log).unwrap_or_default());
                return Err(Error::ServerEnded { log, tail });
            }
            if begun.elapsed() > START_TIMEOUT {
                return Err(Error::TooSlow { state: "ready", seconds: START_TIMEOUT.as_secs(), log });
            }
            thread::sleep(POLL);
        }
    }

    fn own_settings(&self) -> &'static [&'static str] {
        if self.settings.durable { &DURABLE } else { &FLEETING }
    }

    fn program(&self, name: &str) -> Command {
        self.folders.user.command(&self.server.folder.join(name), &self.folders.folder)
    }
}

/// An installed server that reads this version's data, else a fetched one, if it does.
fn find_server(
    settings: &ClusterSettings,
    folders: &ClusterFolders,
    version: Option<u32>,
) -> Result<ServerBinaries, Error> {
    let find = |version| server_binaries::find(&settings.search_path, &folders.data, version);
    let installed = find(version);
    let fits = version.is_none_or(|version| version == fetched_server::MAJOR);
    if installed.is_ok() || !settings.fetch || !fits {
        return installed;
    }
    let another_is_installed = find(None).is_ok();
    // Tests rather have a cluster made anew by what is installed.
    if another_is_installed && !settings.durable {
        return installed;
    }
    match fetched_server::find_or_fetch(&folders.user) {
        Err(Error::NoServer(_)) if another_is_installed => installed,
        fetched => fetched,
    }
}

fn remove_data(folders: &ClusterFolders) -> Result<(), Error> {
    fs::remove_dir_all(&folders.data).doing(|| format!("remove {}", folders.data.display()))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
