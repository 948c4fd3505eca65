//! The server that runs, or ran, on a cluster's data: what its `postmaster.pid` says, and how to end it.
//!
//! The file outlives a server that is killed, and its process id may by then belong to any other program. So an id counts only
//! if that process was started with the cluster's data folder.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster_folders::ClusterFolders;
use crate::error::{Doing, Error};
use crate::process;

/// Only names the socket file; nothing listens on TCP.
pub(crate) const PORT: u16 = 5432;

/// How long a server may take to disconnect its clients and to write its memory out.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a file of another process is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// The server process of a cluster.
#[derive(Clone, Copy)]
pub(crate) struct Postmaster<'a> {
    pub(crate) folders: &'a ClusterFolders,
}

impl Postmaster<'_> {
    /// Whether clients can connect.
    pub(crate) fn is_up(self) -> bool {
        self.is_ready() && self.is_listening()
    }

    /// Whether the server says so itself. The eighth line of its file is the state, as `pg_ctl` reads it.
    pub(crate) fn is_ready(self) -> bool {
        self.file().lines().nth(7).is_some_and(|state| state.trim() == "ready")
    }

    /// The server's process, if it is really this cluster's.
    pub(crate) fn pid(self) -> Option<Pid> {
        let pid = self.recorded_pid()?;
        let command_line = process::command_line(pid)?;
        command_line.contains(&format!(" -D {} ", self.folders.data.display())).then_some(pid)
    }

    /// The process id in the first line of the file, which may be anybody's.
    pub(crate) fn recorded_pid(self) -> Option<Pid> {
        // A server without a socket, as it creates the database, writes its id with a minus sign.
        let pid: i32 = self.file().lines().next()?.trim().parse().ok()?;
        Pid::from_raw(pid.checked_abs()?)
    }

    /// Stops the server, if there is one: disconnects its clients and writes everything to disk. Afterwards no file of it is
    /// in the way.
    pub(crate) fn stop(self) -> Result<(), Error> {
        let begun = Instant::now();
        while let Some(pid) = self.pid() {
            // SIGINT is a fast shutdown; told again it changes nothing. SIGQUIT leaves the rest to recovery.
            let signal = if begun.elapsed() < STOP_TIMEOUT / 2 { Signal::INT } else { Signal::QUIT };
            let _ = kill_process(pid, signal);
            if begun.elapsed() > STOP_TIMEOUT {
                let log = self.folders.log_path();
                return Err(Error::TooSlow { state: "stopped", seconds: STOP_TIMEOUT.as_secs(), log });
            }
            thread::sleep(POLL);
        }
        let left_over = self.pid_file();
        // A server that cannot be recognised, yet listens, keeps its file: the next one will say that it is in the way.
        if !left_over.exists() || self.is_listening() {
            return Ok(());
        }
        fs::remove_file(&left_over).doing(|| format!("remove {}", left_over.display()))
    }

    /// Ends the server without waiting for its clients or its disk: `QUIT` takes its children along, `KILL` is a crash.
    #[cfg(feature = "test-database")]
    pub(crate) fn end_at_once(self, signal: Signal) {
        while let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal);
            thread::sleep(POLL);
        }
    }

    fn is_listening(self) -> bool {
        UnixStream::connect(self.folders.socket_folder.join(format!(".s.PGSQL.{PORT}"))).is_ok()
    }

    fn file(self) -> String {
        fs::read_to_string(self.pid_file()).unwrap_or_default()
    }

    fn pid_file(self) -> PathBuf {
        self.folders.data.join("postmaster.pid")
    }
}
