//! Folders, child processes and patience.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use private_postgres::cluster::{ClusterSettings, PrivatePostgres};
use private_postgres::test_database::TestDatabase;
use rustix::process::{Pid, Signal};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells a test binary that it is a child: the folder whose cluster it shares, or a word for what else it does.
const CHILD_FOLDER: &str = "PRIVATE_POSTGRES_CHILD_FOLDER";
const CHILD_DATABASE: &str = "PRIVATE_POSTGRES_CHILD_DATABASE";

/// A folder that the server's user can reach also when the tests run as root.
pub(crate) fn open_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A durable cluster in a folder.
pub(crate) fn durable(folder: &Path) -> ClusterSettings {
    ClusterSettings::new(folder.join("postgres"), "some_app")
}

/// The same, made in half the time.
pub(crate) fn settings(folder: &Path) -> ClusterSettings {
    ClusterSettings { durable: false, ..durable(folder) }
}

pub(crate) fn start(folder: &Path) -> PrivatePostgres {
    PrivatePostgres::start(&settings(folder)).unwrap()
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// The process id that the server of a cluster has written down.
pub(crate) fn server_pid(cluster_folder: &Path) -> Option<Pid> {
    let file = fs::read_to_string(cluster_folder.join("pgdata/postmaster.pid")).ok()?;
    Pid::from_raw(file.lines().next()?.trim().parse().ok()?)
}

/// Kills a process of this cluster, and waits until it is gone.
pub(crate) fn kill(pid: Pid) {
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    wait_until("the killed process is gone", || rustix::process::test_kill_process(pid).is_err());
}

/// Waits until the server of a cluster has stopped in order.
pub(crate) fn wait_until_stopped(cluster_folder: &Path) {
    wait_until("the server has stopped", || server_pid(cluster_folder).is_none());
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Another process, which runs this test binary.
pub(crate) struct OtherProcess {
    process: Child,
    /// What it told when it was ready.
    pub(crate) answer: String,
}

impl OtherProcess {
    /// One that shares the cluster of a folder; it answers whether it has started the server.
    pub(crate) fn sharing(folder: &Path, linger: Duration) -> Self {
        Self::begin_sharing(folder, linger).ready()
    }

    /// The same, not waited for.
    pub(crate) fn begin_sharing(folder: &Path, linger: Duration) -> Self {
        let value = format!("{}:{}", linger.as_secs(), folder.display());
        Self::run("support::shares_a_cluster_when_it_is_a_child", CHILD_FOLDER, value)
    }

    /// One that has a test database; it answers with the address.
    pub(crate) fn with_database() -> Self {
        Self::run("support::has_a_database_when_it_is_a_child", CHILD_DATABASE, "yes".to_owned()).ready()
    }

    fn run(test: &str, variable: &str, value: String) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(variable, value);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self { process, answer: String::new() }
    }

    fn ready(mut self) -> Self {
        let lines = BufReader::new(self.process.stdout.as_mut().unwrap()).lines();
        let answer =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("ready ")?.to_owned()));
        self.answer = answer.expect("the other process gets ready");
        self
    }

    /// Lets it end in its own way.
    pub(crate) fn leave(mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }

    /// Ends it with `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Waits until the parent closes its end or kills.
fn tell_and_wait(answer: &str) {
    println!("\nready {answer}");
    let _ = io::stdin().lines().next();
}

#[test]
fn shares_a_cluster_when_it_is_a_child() {
    let Ok(value) = env::var(CHILD_FOLDER) else { return };
    let (linger, folder) = value.split_once(':').unwrap();
    let linger = Duration::from_secs(linger.parse().unwrap());
    let cluster =
        PrivatePostgres::start(&ClusterSettings { linger, ..settings(&PathBuf::from(folder)) }).unwrap();

    tell_and_wait(&cluster.started().to_string());
}

#[tokio::test]
async fn has_a_database_when_it_is_a_child() {
    if env::var_os(CHILD_DATABASE).is_none() {
        return;
    }
    let database = TestDatabase::empty().await;

    tell_and_wait(database.url());
}
