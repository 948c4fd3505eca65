//! Who keeps the server up, and for how long.

use std::thread;
use std::time::Duration;

use private_postgres::cluster::PrivatePostgres;
use sqlx::{Connection, Executor};

use crate::support::{OtherProcess, connect, open_folder, start, wait_until_stopped};

#[tokio::test]
async fn the_data_are_there_at_the_next_run() {
    let folder = open_folder();
    let first = start(folder.path());
    connect(&first.url()).await.execute("CREATE TABLE kept ()").await.unwrap();
    drop(first);
    wait_until_stopped(&folder.path().join("postgres"));

    let second = start(folder.path());

    assert!(second.started());
    connect(&second.url()).await.execute("TABLE kept").await.unwrap();
}

#[tokio::test]
async fn the_database_has_the_app_s_name_and_speaks_utc_and_utf8() {
    let folder = open_folder();
    let cluster = start(folder.path());

    let mut conn = connect(&cluster.url()).await;

    let facts =
        "SELECT current_database() || ' ' || current_user || ' ' || current_setting('server_encoding')
        || ' ' || current_setting('TimeZone') || ' ' || current_setting('server_version_num')::INT / 10000";
    let facts: String = sqlx::query_scalar(facts).fetch_one(&mut conn).await.unwrap();
    assert_eq!(facts, format!("some_app some_app UTF8 UTC {}", cluster.version()));
}

#[tokio::test]
async fn a_dropped_database_is_created_again() {
    let folder = open_folder();
    let first = start(folder.path());
    let mut conn = connect(&first.url_of("postgres")).await;
    conn.execute("DROP DATABASE some_app").await.unwrap();
    drop(first);
    wait_until_stopped(&folder.path().join("postgres"));

    let second = start(folder.path());

    connect(&second.url()).await.close().await.unwrap();
}

#[test]
fn the_psql_line_can_be_pasted_into_a_shell() {
    let folder = open_folder();
    let cluster = start(folder.path());
    let line = format!("{} -XAtc 'SELECT current_database()'", cluster.psql_line());

    let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();

    assert_eq!(String::from_utf8_lossy(&output.stdout), "some_app\n", "{line}");
}

#[test]
fn of_many_who_start_at_once_one_starts_the_server() {
    let folder = open_folder();

    let clusters: Vec<PrivatePostgres> = thread::scope(|scope| {
        let starts: Vec<_> = (0..6).map(|_| scope.spawn(|| start(folder.path()))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });

    assert_eq!(clusters.iter().filter(|cluster| cluster.started()).count(), 1);
}

#[tokio::test]
async fn the_server_stays_for_the_second_process_and_goes_with_it_though_both_are_killed() {
    let folder = open_folder();
    let first = OtherProcess::sharing(folder.path(), Duration::ZERO);
    let second = OtherProcess::sharing(folder.path(), Duration::ZERO);
    assert_eq!([&*first.answer, &*second.answer], ["true", "false"]);

    first.kill();

    let third = start(folder.path());
    assert!(!third.started());
    connect(&third.url()).await.ping().await.unwrap();
    drop(third);

    second.kill();

    wait_until_stopped(&folder.path().join("postgres"));
}

#[test]
fn a_lingering_server_waits_for_the_next_process_and_then_goes() {
    let folder = open_folder();
    let linger = Duration::from_secs(3);
    OtherProcess::sharing(folder.path(), linger).leave();

    let next = OtherProcess::sharing(folder.path(), linger);

    assert_eq!(next.answer, "false");
    next.leave();
    wait_until_stopped(&folder.path().join("postgres"));
}

#[tokio::test]
async fn a_cluster_that_need_not_last_takes_many_connections() {
    let folder = open_folder();
    let cluster = start(folder.path());

    let mut conn = connect(&cluster.url()).await;

    let shown: String = sqlx::query_scalar("SHOW max_connections").fetch_one(&mut conn).await.unwrap();
    assert_eq!(shown, "400");
}
