//! Who still needs the server. The lease is a FIFO: every process that uses the server holds its write end, and a small `sh` holds the
//! read end. The kernel closes the write end of a process however it ends, so the `sh` sees end-of-file exactly when nobody is left,
//! and stops the server.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use crate::error::{Doing, Error};
use crate::server_user::ServerUser;

/// Waits for the end of the lease, then stops the server. Arguments: the lease, `pg_ctl`, the data folder.
const WATCHER: &str = r#"cat <"$1" >/dev/null; exec "$2" -D "$3" -m fast -w stop >/dev/null 2>&1"#;

/// Takes a share of a lease that is being watched; `None` when nobody watches, so no server can be relied on.
pub(crate) fn join(lease: &Path) -> Option<File> {
    // Without a reader the open fails (ENXIO) instead of waiting for one.
    let share = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(lease).ok()?;
    // The watcher may have seen end-of-file just before we came; then it is about to close its end, which shows as an error here.
    let mut watch = libc::pollfd { fd: share.as_raw_fd(), events: 0, revents: 0 };
    (poll(&mut watch, 20) == 0).then_some(share)
}

/// Makes the lease if need be, starts its watcher, and takes the first share.
pub(crate) fn open(
    lease: &Path,
    user: &ServerUser,
    folder: &Path,
    pg_ctl: &Path,
    data: &Path,
) -> Result<File, Error> {
    if !fs::symlink_metadata(lease).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        let _ = fs::remove_file(lease);
        make_fifo(lease).doing(|| format!("make the lease {}", lease.display()))?;
        user.own(lease)?;
    }
    user.command(Path::new("/bin/sh"), folder)
        .args(["-c", WATCHER, "private-postgres-watcher"])
        .args([lease, pg_ctl, data])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0) // Ctrl-C in the terminal is for the program, not for its database
        .spawn()
        .doing(|| "start the database's watcher".to_owned())?;
    // Opening for writing waits until the watcher reads.
    OpenOptions::new().write(true).open(lease).doing(|| format!("open the lease {}", lease.display()))
}

#[expect(unsafe_code, reason = "std cannot make a FIFO; the path is a valid C string for the call")]
fn make_fifo(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(io::Error::other)?;
    // SAFETY: `path` is NUL-terminated and lives through the call.
    if unsafe { libc::mkfifo(path.as_ptr(), 0o600) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(unsafe_code, reason = "std cannot poll a file; one valid pollfd is passed with its count")]
fn poll(watch: &mut libc::pollfd, timeout_ms: i32) -> i32 {
    // SAFETY: the pointer is to one pollfd that lives through the call.
    unsafe { libc::poll(watch, 1, timeout_ms) }
}
