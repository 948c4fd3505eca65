//! Other processes of the machine, by their ids.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::Pid;

/// What a process was started with, words separated by blanks; `None` or empty when there is no such process any more.
pub(crate) fn command_line(pid: Pid) -> Option<String> {
    let pid = pid.as_raw_nonzero();
    if let Ok(words) = fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&words).replace('\0', " "));
    }
    // Elsewhere than on Linux.
    let mut ps = Command::new("ps");
    ps.args(["-ww", "-o", "args=", "-p"]).arg(pid.to_string());
    let answer = ps.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    Some(format!("{} ", String::from_utf8_lossy(&answer.stdout).trim_end()))
}

/// Whether there is a process of this id, whoever owns it.
#[cfg(feature = "test-database")]
pub(crate) fn is_alive(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// Collects a child that outlives its purpose here, so that its id does not stay taken, and tells when it did not end well.
pub(crate) fn reap(mut child: Child, name: &'static str) {
    let wait = move || match child.wait() {
        Ok(status) if status.success() => tracing::debug!("The {name} has ended"),
        Ok(status) => tracing::warn!(%status, "The {name} ended unexpectedly ({status})"),
        Err(error) => tracing::warn!(%error, "The {name} cannot be waited for: {error}"),
    };
    // Without a thread the child is collected when this process ends.
    let _ = thread::Builder::new().name("postgres-reaper".to_owned()).spawn(wait);
}
