//! Starting, joining and keeping the cluster.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Doing, Error};
use crate::lease;
use crate::server_binaries::{self, ServerBinaries};
use crate::server_user::ServerUser;

/// Only names the socket file; nothing listens on TCP.
const PORT: u16 = 5432;

/// A first start on a slow disk takes seconds; a minute means that something is wrong.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What cluster to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the cluster lives. As root it is made elsewhere when the server's user cannot reach it.
    pub directory: PathBuf,
    /// The database, its user, and the name under `/var/lib` for a cluster that must live there.
    pub name: String,
    /// False (tests): a crash of the machine may lose the data, and everything is quicker.
    pub durable: bool,
    /// How long the server stays up after the last process, so that the next one finds it running.
    pub linger: Duration,
    /// Where servers are looked for; [`server_binaries::search_path`] on a usual machine.
    pub search_path: Vec<PathBuf>,
}

impl Settings {
    /// A durable cluster in this folder, on whatever server is installed.
    pub fn new(directory: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        let search_path = server_binaries::search_path();
        Self {
            directory: directory.into(),
            name: name.into(),
            durable: true,
            linger: Duration::ZERO,
            search_path,
        }
    }
}

/// A share in a running cluster; the server runs for as long as anybody holds one.
#[derive(Debug)]
pub struct PrivatePostgres {
    data_folder: PathBuf,
    socket_folder: PathBuf,
    name: String,
    version: u32,
    started: bool,
    _share: File,
}

impl PrivatePostgres {
    /// Joins the running cluster, or starts it.
    ///
    /// # Errors
    /// See [`Error`]; each says what to do.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let user = ServerUser::for_folder(&settings.directory)?;
        let folder = reachable_folder(settings, &user)?;
        let socket_folder = socket_folder(&folder, &user, &settings.name)?;
        // One process starts the server; the others wait here and then join it.
        let gate = folder.join("start.lock");
        let gate = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&gate)
            .doing(|| format!("open {}", gate.display()))?;
        gate.lock().doing(|| "wait for another process that starts the database".to_owned())?;
        let site = Site {
            settings,
            user,
            data: folder.join("pgdata"),
            lease: folder.join("lease"),
            socket_folder,
            folder,
        };
        let (share, started) = match lease::join(&site.lease) {
            Some(share) => (share, false),
            None => (site.start()?, true),
        };
        if !settings.linger.is_zero() {
            linger(settings.linger, &share)?;
        }
        let version = data_version(&site.data).unwrap_or_default();
        Ok(Self {
            data_folder: site.data,
            socket_folder: site.socket_folder,
            name: settings.name.clone(),
            version,
            started,
            _share: share,
        })
    }

    /// The database's address, for any PostgreSQL client.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// The address of another database in the cluster.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://{}@localhost/{database}?host={}&port={PORT}",
            self.name,
            percent_encode(&self.socket_folder)
        )
    }

    /// A command line that opens the database for a person.
    #[must_use]
    pub fn psql_line(&self) -> String {
        format!("psql -h {} -p {PORT} -U {} {}", self.socket_folder.display(), self.name, self.name)
    }

    /// Where the server keeps its data.
    #[must_use]
    pub fn data_folder(&self) -> &Path {
        &self.data_folder
    }

    /// The server's major version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether this process started the server; false: it joined a running one.
    #[must_use]
    pub fn started(&self) -> bool {
        self.started
    }
}

/// Where a cluster is, while it is being started.
struct Site<'a> {
    settings: &'a Settings,
    user: ServerUser,
    folder: PathBuf,
    data: PathBuf,
    lease: PathBuf,
    socket_folder: PathBuf,
}

impl Site<'_> {
    fn start(&self) -> Result<File, Error> {
        let server = server_binaries::find(&self.settings.search_path, &self.data, data_version(&self.data))?;
        if data_version(&self.data).is_none() {
            self.init(&server)?;
        } else {
            self.stop_left_over(&server);
        }
        match self.launch(&server) {
            // Without fsync a crash of the machine can leave files that no server reads; tests want a cluster, not this one.
            Err(Error::ServerEnded { .. }) if !self.settings.durable => {
                fs::remove_dir_all(&self.data).doing(|| format!("remove {}", self.data.display()))?;
                self.init(&server)?;
                self.launch(&server)?;
            }
            launched => launched?,
        }
        let share =
            lease::open(&self.lease, &self.user, &self.folder, &server.folder.join("pg_ctl"), &self.data)?;
        self.create_database(&server)?;
        Ok(share)
    }

    /// Makes the cluster beside its place and moves it there, so that a killed initdb leaves no half cluster behind.
    fn init(&self, server: &ServerBinaries) -> Result<(), Error> {
        let unfinished = self.folder.join("pgdata.new");
        let _ = fs::remove_dir_all(&unfinished);
        let _ = fs::remove_dir_all(&self.data);
        let mut initdb = self.user.command(&server.folder.join("initdb"), &self.folder);
        initdb.arg("-D").arg(&unfinished).args([
            "-U",
            &self.settings.name,
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-instructions",
        ]);
        if !self.settings.durable {
            initdb.arg("--no-sync");
        }
        let output = initdb.stdin(Stdio::null()).output().doing(|| "run initdb".to_owned())?;
        if !output.status.success() {
            return Err(Error::InitDb(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        fs::rename(&unfinished, &self.data)
            .doing(|| format!("move the new cluster to {}", self.data.display()))
    }

    /// Nobody holds the lease, so what `postmaster.pid` names is a server that is just stopping, one whose watcher was killed, or
    /// nothing at all. `pg_ctl stop` waits for the first two and fails at once on the third.
    fn stop_left_over(&self, server: &ServerBinaries) {
        if !self.data.join("postmaster.pid").exists() {
            return;
        }
        let mut stop = self.user.command(&server.folder.join("pg_ctl"), &self.folder);
        stop.arg("-D").arg(&self.data).args(["-m", "fast", "-w", "stop"]);
        let _ = stop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    fn launch(&self, server: &ServerBinaries) -> Result<(), Error> {
        // A copied or unpacked project may have lost it, and the server insists.
        fs::set_permissions(&self.data, fs::Permissions::from_mode(0o700))
            .doing(|| format!("close {} to others", self.data.display()))?;
        let log_path = self.folder.join("server.log");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .doing(|| format!("open {}", log_path.display()))?;
        let log_err = log.try_clone().doing(|| "share the server's log".to_owned())?;
        let mut postgres = self.user.command(&server.folder.join("postgres"), &self.folder);
        postgres.arg("-D").arg(&self.data).arg("-p").arg(PORT.to_string());
        postgres.arg("-c").arg(format!("unix_socket_directories={}", self.socket_folder.display()));
        for setting in self.server_settings() {
            postgres.args(["-c", setting]);
        }
        let child = postgres.stdin(Stdio::null()).stdout(log).stderr(log_err).process_group(0).spawn();
        let child = child.doing(|| format!("start {}", server.folder.join("postgres").display()))?;
        wait_until_ready(child, &self.data, &log_path)
    }

    fn server_settings(&self) -> &'static [&'static str] {
        const DURABLE: &[&str] = &[
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "timezone=UTC",
            "log_timezone=UTC",
            "max_connections=200",
        ];
        const FLEETING: &[&str] = &[
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "timezone=UTC",
            "log_timezone=UTC",
            "max_connections=500",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "shared_buffers=128MB",
            "max_wal_size=2GB",
        ];
        if self.settings.durable { DURABLE } else { FLEETING }
    }

    /// The program's own database, beside the ones that every cluster has.
    fn create_database(&self, server: &ServerBinaries) -> Result<(), Error> {
        // `postgres --single` cannot run beside the server, and this crate speaks no protocol: the server's own tool does it.
        let mut createdb = self.user.command(&server.folder.join("psql"), &self.folder);
        createdb.arg("-h").arg(&self.socket_folder).arg("-p").arg(PORT.to_string());
        createdb.args(["-U", &self.settings.name, "-d", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1"]);
        let statement = format!(
            "SELECT 'CREATE DATABASE \"{0}\"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{0}') \\gexec\n",
            self.settings.name
        );
        let output = run_with_input(&mut createdb, &statement).doing(|| "run psql".to_owned())?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::InitDb(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

fn run_with_input(command: &mut Command, input: &str) -> std::io::Result<std::process::Output> {
    use std::io::Write as _;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    child.wait_with_output()
}

/// A sleeping child that holds a share keeps the server up for a while.
fn linger(duration: Duration, share: &File) -> Result<(), Error> {
    let share = share.try_clone().doing(|| "share the lease".to_owned())?;
    let mut sleep = Command::new("sleep");
    sleep
        .arg(duration.as_secs().to_string())
        .stdin(Stdio::null())
        .stdout(share)
        .stderr(Stdio::null())
        .process_group(0);
    sleep.spawn().map(drop).doing(|| "run sleep".to_owned())
}

/// Line 1 of `postmaster.pid` is the server's process id and line 8 its state; `pg_ctl` reads it the same way.
fn wait_until_ready(mut server: Child, data: &Path, log: &Path) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        let state = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let mut lines = state.lines();
        let is_ours = lines.next().map(str::trim) == Some(&server.id().to_string());
        if is_ours && lines.nth(6).map(str::trim) == Some("ready") {
            return Ok(());
        }
        if server.try_wait().doing(|| "watch the server start".to_owned())?.is_some() {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(8)..].join("\n");
            return Err(Error::ServerEnded { log: log.to_owned(), tail });
        }
        if begun.elapsed() > START_TIMEOUT {
            return Err(Error::NotReady { seconds: START_TIMEOUT.as_secs(), log: log.to_owned() });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The folder that was asked for, or one under `/var/lib` when the server's user cannot reach it.
fn reachable_folder(settings: &Settings, user: &ServerUser) -> Result<PathBuf, Error> {
    let wanted = std::path::absolute(&settings.directory)
        .doing(|| format!("resolve {}", settings.directory.display()))?;
    let parent = wanted.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).doing(|| format!("make {}", parent.display()))?;
    if user.can_enter(parent) {
        user.private_folder(&wanted)?;
        return Ok(wanted);
    }
    let home = PathBuf::from("/var/lib").join(&settings.name);
    fs::create_dir_all(&home).doing(|| format!("make {}", home.display()))?;
    let elsewhere = home.join(format!("postgres-{:08x}", hash(&wanted)));
    user.private_folder(&elsewhere)?;
    tracing::info!(
        "The database lives in {}: its user cannot reach {}",
        elsewhere.display(),
        wanted.display()
    );
    Ok(elsewhere)
}

/// A socket's path may have about a hundred bytes, and a list of folders is split at commas.
fn socket_folder(folder: &Path, user: &ServerUser, name: &str) -> Result<PathBuf, Error> {
    if folder.as_os_str().len() < 85 && !folder.to_string_lossy().contains([',', '"', ' ', '\'']) {
        return Ok(folder.to_owned());
    }
    let short = PathBuf::from(format!("/tmp/{name}-{}-{:08x}", user.uid, hash(folder)));
    user.private_folder(&short)?;
    Ok(short)
}

/// The major version that made a cluster; `None`: there is no cluster.
fn data_version(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// FNV-1a: the same folder must get the same name in every process and version.
fn hash(path: &Path) -> u32 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn percent_encode(path: &Path) -> String {
    let encode = |byte: &u8| {
        if byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { format!("%{byte:02X}") }
    };
    path.as_os_str().as_encoded_bytes().iter().map(encode).collect()
}
