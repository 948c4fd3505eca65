//! What is left when something was killed, and how the next start copes with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use private_postgres::cluster::PrivatePostgres;
use private_postgres::error::Error;
use rustix::process::Pid;
use sqlx::{Connection, Executor};

use crate::support::{
    OtherProcess, connect, durable, kill, open_folder, server_pid, settings, start, wait_until,
    wait_until_stopped,
};

#[tokio::test]
async fn a_killed_server_comes_back_with_its_data_while_its_process_lives() {
    let folder = open_folder();
    let cluster = PrivatePostgres::start(&durable(folder.path())).unwrap();
    connect(&cluster.url()).await.execute("CREATE TABLE kept ()").await.unwrap();
    kill(server_pid(cluster.folder()).unwrap());

    let again = PrivatePostgres::start(&durable(folder.path())).unwrap();

    assert!(again.started());
    connect(&cluster.url()).await.execute("TABLE kept").await.unwrap();
    drop((cluster, again));
    wait_until_stopped(&folder.path().join("postgres"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_watcher_is_replaced_and_nobody_is_disconnected() {
    let folder = open_folder();
    let first = start(folder.path());
    let mut conn = connect(&first.url()).await;
    let lease = first.folder().join("lease").display().to_string();
    kill(process_with("private-postgres-watcher", &lease));

    let second = start(folder.path());

    assert!(!second.started());
    conn.ping().await.unwrap();
    drop((first, second));
    wait_until_stopped(&folder.path().join("postgres"));
}

#[test]
fn a_process_killed_while_it_makes_the_cluster_leaves_no_half_cluster() {
    let folder = open_folder();
    let cluster_folder = folder.path().join("postgres");
    let other = OtherProcess::begin_sharing(folder.path(), Duration::ZERO);
    wait_until("initdb is at work", || has_unfinished(&cluster_folder));
    other.kill();

    let cluster = start(folder.path());

    assert!(cluster.started());
}

#[test]
fn a_process_id_that_now_belongs_to_another_program_is_left_in_peace() {
    let folder = open_folder();
    let cluster_folder = folder.path().join("postgres");
    drop(start(folder.path()));
    wait_until_stopped(&cluster_folder);
    let mut stranger = Command::new("sleep");
    stranger.arg("600");
    if rustix::process::geteuid().is_root() {
        // As the server's user, whose processes the server would take for itself.
        let owner = fs::metadata(&cluster_folder).unwrap();
        stranger.uid(owner.uid()).gid(owner.gid());
    }
    let mut stranger = stranger.spawn().unwrap();
    let data = cluster_folder.join("pgdata");
    let left_over =
        format!("{}\n{}\n1700000000\n5432\n/tmp\n\n  1 1\nready\n", stranger.id(), data.display());
    fs::write(data.join("postmaster.pid"), left_over).unwrap();

    let cluster = start(folder.path());

    assert!(cluster.started());
    assert!(stranger.try_wait().unwrap().is_none(), "the other program was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_damaged_cluster_is_made_anew_only_if_it_need_not_last() {
    let folder = open_folder();
    let (durable, fleeting) = (durable(folder.path()), settings(folder.path()));
    drop(start(folder.path()));
    wait_until_stopped(&durable.directory);
    fs::remove_file(durable.directory.join("pgdata/global/pg_control")).unwrap();

    let refused = PrivatePostgres::start(&durable).unwrap_err();
    let renewed = PrivatePostgres::start(&fleeting).unwrap();

    assert!(matches!(refused, Error::ServerEnded { .. }), "{refused}");
    assert!(renewed.started());
}

#[test]
fn data_of_another_version_are_kept_if_they_must_last() {
    let folder = open_folder();
    let (durable, fleeting) = (durable(folder.path()), settings(folder.path()));
    drop(start(folder.path()));
    wait_until_stopped(&durable.directory);
    fs::write(durable.directory.join("pgdata/PG_VERSION"), "7\n").unwrap();

    let refused = PrivatePostgres::start(&durable).unwrap_err();
    let renewed = PrivatePostgres::start(&fleeting).unwrap();

    assert!(matches!(refused, Error::WrongVersion { wanted: 7, .. }), "{refused}");
    assert!(renewed.version() > 7);
}

fn has_unfinished(cluster_folder: &Path) -> bool {
    let entries = fs::read_dir(cluster_folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("pgdata.new"))
}

#[cfg(target_os = "linux")]
fn process_with(name: &str, argument: &str) -> Pid {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let fits = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        [name, argument].iter().all(|wanted| words.split('\0').any(|word| word == *wanted))
    };
    Pid::from_raw(pids.find(fits).unwrap()).unwrap()
}
