//! Folders that are too long, too private or somebody else's, and machines without a server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use private_postgres::cluster::{ClusterSettings, PrivatePostgres};
use private_postgres::error::Error;
use sqlx::Connection;

use crate::support::{connect, open_folder, settings, start, wait_until_stopped};

#[tokio::test]
async fn a_folder_too_deep_for_a_socket_has_it_elsewhere() {
    let folder = open_folder();
    let deep = folder.path().join("a folder, with 'odd' signs").join("d".repeat(90));

    let cluster = start(&deep);

    connect(&cluster.url()).await.ping().await.unwrap();
    let line = cluster.psql_line();
    let socket_folder = Path::new(line.split(' ').nth(2).unwrap());
    assert_eq!(mode(socket_folder), 0o700);
    drop(cluster);
    wait_until_stopped(&deep.join("postgres"));
    fs::remove_dir_all(socket_folder).unwrap();
}

#[tokio::test]
async fn a_folder_that_the_server_s_user_cannot_reach_is_replaced() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let closed = open_folder();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();

    let cluster = start(closed.path());

    connect(&cluster.url()).await.ping().await.unwrap();
    let folder = cluster.folder().to_owned();
    assert!(folder.starts_with("/var/lib/some_app"), "{}", folder.display());
    assert_eq!(mode(&folder), 0o700);
    drop(cluster);
    wait_until_stopped(&folder);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn everything_lies_in_a_folder_of_the_server_s_user_alone() {
    let folder = open_folder();
    let settings = settings(folder.path());
    // As an image or a script may have prepared it.
    fs::create_dir(&settings.directory).unwrap();
    fs::set_permissions(&settings.directory, fs::Permissions::from_mode(0o755)).unwrap();

    let cluster = PrivatePostgres::start(&settings).unwrap();

    assert_eq!(mode(cluster.folder()), 0o700);
    assert_eq!(mode(&cluster.folder().join("pgdata")), 0o700);
}

#[test]
fn a_file_in_the_folder_s_place_is_left_alone() {
    let folder = open_folder();
    fs::write(folder.path().join("postgres"), "mine").unwrap();

    let error = PrivatePostgres::start(&settings(folder.path())).unwrap_err();

    assert!(matches!(error, Error::ForeignFolder { .. }), "{error}");
}

#[test]
fn without_a_server_on_the_machine_the_remedies_are_told() {
    let folder = open_folder();
    let settings = ClusterSettings { search_path: Vec::new(), fetch: false, ..settings(folder.path()) };

    let error = PrivatePostgres::start(&settings).unwrap_err().to_string();

    for remedy in ["DATABASE_URL=postgres://", "apt-get install postgresql", "brew install postgresql@17"] {
        assert!(error.contains(remedy), "{error}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
