//! Who still needs the server. The lease is a FIFO: every process that uses the server holds its write end, and a small shell
//! script, the watcher, holds the read end. The kernel closes the write end of a process however it ends, so the watcher sees
//! end-of-file exactly when nobody is left, and stops the server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

use crate::cluster_folders::ClusterFolders;
use crate::error::{Doing, Error};
use crate::process;

/// What the watcher runs.
const WATCHER: &str = include_str!("watcher.sh");

/// The watcher answers within milliseconds; one that is silent for so long is not well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The lease of one cluster.
pub(crate) struct ClusterLease {
    fifo: PathBuf,
    /// Where the watcher writes the shares that it has counted.
    shares: PathBuf,
}

impl ClusterLease {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { fifo: folder.join("lease"), shares: folder.join("shares") }
    }

    /// Takes a share of a lease that is being watched; `None` when nobody watches, so no server can be relied on.
    pub(crate) fn join(&self) -> Result<Option<File>, Error> {
        // Without a reader the open fails (ENXIO) instead of waiting for one.
        let Ok(share) = self.open_end(OpenOptions::new().write(true).custom_flags(no_wait())) else {
            return Ok(None);
        };
        Ok(self.is_counted(&share)?.then_some(share))
    }

    /// Whether the last watcher was killed. One that stops the server removes the list of shares before it leaves.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.shares.exists()
    }

    /// Starts a watcher and takes a share.
    pub(crate) fn open(&self, folders: &ClusterFolders, linger: Duration) -> Result<File, Error> {
        let deed = || format!("open the lease {}", self.fifo.display());
        self.make_fifo(folders)?;
        // Either end alone would wait for the other, and a watcher that waits to open its end would wait for ever if this
        // process were killed now. So it gets an open one, and there is a writer before there is a watcher.
        let placeholder = self.open_end(OpenOptions::new().read(true).custom_flags(no_wait())).doing(deed)?;
        let share = self.open_end(OpenOptions::new().write(true).custom_flags(no_wait())).doing(deed)?;
        let read_end = self.open_end(OpenOptions::new().read(true)).doing(deed)?;
        drop(placeholder);
        self.watch(folders, read_end, linger)?;
        if self.is_counted(&share)? {
            return Ok(share);
        }
        Err(io::Error::other("its watcher ended at once")).doing(deed)
    }

    fn make_fifo(&self, folders: &ClusterFolders) -> Result<(), Error> {
        if fs::symlink_metadata(&self.fifo).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
            return Ok(());
        }
        let _ = fs::remove_file(&self.fifo);
        let mut mkfifo = folders.user.command(Path::new("mkfifo"), &folders.folder);
        let made = mkfifo.args(["-m", "600"]).arg(&self.fifo).stdin(Stdio::null()).output();
        let made = made.and_then(|output| match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        });
        made.doing(|| format!("make the lease {}", self.fifo.display()))
    }

    fn watch(&self, folders: &ClusterFolders, read_end: File, linger: Duration) -> Result<(), Error> {
        let mut watcher = folders.user.command(Path::new("/bin/sh"), &folders.folder);
        watcher.args(["-c", WATCHER, "private-postgres-watcher"]);
        watcher.args([&self.fifo, &self.shares, &folders.data]).arg(linger.as_secs().to_string());
        // In a group of its own: Ctrl-C in the terminal is for the program, not for its database.
        watcher.stdin(read_end).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let watcher = watcher.spawn().doing(|| "start the database's watcher".to_owned())?;
        process::reap(watcher, "database's watcher");
        Ok(())
    }

    /// Tells the watcher of a share, and waits until it has counted it. An open write end alone proves nothing: the watcher may
    /// have seen end-of-file just before, and be about to close its end.
    fn is_counted(&self, mut share: &File) -> Result<bool, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "only so that no two shares of a process have one name"
        )]
        let now = SystemTime::now();
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}-{}", std::process::id(), since_epoch.as_nanos());
        let mut told = share.write_all(format!("{name}\n").as_bytes());
        let begun = Instant::now();
        loop {
            match told {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(error).doing(|| "join the running database".to_owned());
                }
                _ => {}
            }
            if fs::read_to_string(&self.shares).is_ok_and(|shares| shares.lines().any(|line| line == name)) {
                return Ok(true);
            }
            if begun.elapsed() > ANSWER_TIMEOUT {
                return Err(io::Error::from(ErrorKind::TimedOut))
                    .doing(|| "reach the database's watcher".to_owned());
            }
            thread::sleep(Duration::from_millis(2));
            // Fails once the watcher has closed its end.
            told = share.write_all(b"\n");
        }
    }

    fn open_end(&self, options: &OpenOptions) -> io::Result<File> {
        options.open(&self.fifo)
    }
}

fn no_wait() -> i32 {
    OFlags::NONBLOCK.bits().cast_signed()
}
