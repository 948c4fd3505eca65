//! Root and ordinary users.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::open_folder;

/// `nobody` on most systems; any id without rights would do.
const ORDINARY: u32 = 65534;

#[test]
fn all_of_this_holds_for_an_ordinary_user_too() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = open_folder();
    // The build's folder may be out of an ordinary user's reach.
    let binary = folder.path().join("tests");
    // By a process of its own: a child that another test starts meanwhile would keep a file open that is written here, and such a file cannot be run.
    let copied = Command::new("cp").arg(env::current_exe().unwrap()).arg(&binary).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(ORDINARY), Some(ORDINARY)).unwrap();

    let mut tests = Command::new(&binary);
    // Its own cluster for test databases, since root's belongs to another user.
    tests.uid(ORDINARY).gid(ORDINARY).current_dir(&home).env("CARGO_TARGET_DIR", &home);
    let output = tests.env_remove("TMPDIR").env_remove("TEST_DATABASE_URL").output().unwrap();

    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}
