//! Who gets which connection, and which connections are kept.

use std::task::{Context, Poll, Waker};

use private_postgres::schema::Schema;
use private_postgres::test_database::TestDatabase;

use super::*;
use crate::connections::{self, Connections};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

static SCHEMA: Schema<'static> =
    Schema { migrations: &MIGRATOR, functions: include_str!("../../../migrations/functions.sql") };

/// A pool of so many open connections.
async fn open(connections: u32) -> (TestDatabase, Connections) {
    let database = TestDatabase::create(&SCHEMA).await;
    let options = connections::options().max_connections(connections).min_connections(connections);
    let pg = options.connect_with(database.connect_options()).await.unwrap();
    (database, Connections::new(pg, Failures::default()))
}

fn idle(connections: &Connections) -> MutexGuard<'_, State> {
    connections.idle.as_ref().unwrap().state()
}

async fn server_process(connections: &Connections) -> sqlx::Result<i32> {
    connections.run(async |conn| sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await).await
}

/// Terminates a connection's server process, and returns when it has ended.
async fn end(connections: &Connections, process: i32) {
    let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)")
        .bind(process)
        .fetch_one(connections.raw())
        .await
        .unwrap();
    assert!(ended);
}

/// An idle connection whose server process has just ended, and which counts as fresh for an hour.
async fn lost(connections: &Connections) -> i32 {
    let lost = server_process(connections).await.unwrap();
    end(connections, lost).await;
    set_idle_since(connections, Instant::now() + Duration::from_secs(3600));
    lost
}

fn set_idle_since(connections: &Connections, since: Instant) {
    for idle in idle(connections).idle.iter_mut() {
        idle.since = since;
    }
}

fn ago(age: Duration) -> Instant {
    Instant::now().checked_sub(age).expect("the machine has run for longer")
}

#[tokio::test]
async fn concurrent_statements_run_in_server_processes_of_their_own_and_half_of_the_pool_stays_free() {
    let (_database, connections) = open(4).await;
    let together = tokio::sync::Barrier::new(4);
    let statement = || {
        connections.run(async |conn| {
            together.wait().await;
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await
        })
    };

    let answers: [sqlx::Result<i32>; 4] =
        futures::join!(statement(), statement(), statement(), statement()).into();

    let mut processes = answers.map(Result::unwrap);
    processes.sort_unstable();
    assert!(processes.windows(2).all(|two| two[0] != two[1]), "{processes:?}");
    assert_eq!(idle(&connections).idle.len(), 2);
    let (one, other) = (connections.raw().acquire().await, connections.raw().acquire().await);
    assert!(one.is_ok() && other.is_ok());
}

#[tokio::test]
async fn a_single_connection_for_which_nobody_waits_is_not_kept() {
    let (_database, connections) = open(1).await;

    server_process(&connections).await.unwrap();

    assert!(connections.raw().acquire().await.is_ok());
    assert!(idle(&connections).idle.is_empty());
}

#[tokio::test]
async fn a_connection_that_fails_is_not_kept() {
    let (_database, connections) = open(4).await;
    let first = lost(&connections).await;

    let failed = server_process(&connections).await;

    assert!(failed.is_err());
    assert_ne!(server_process(&connections).await.unwrap(), first);
}

#[tokio::test]
async fn a_connection_that_was_lost_while_idle_fails_no_statement() {
    let (_database, connections) = open(4).await;
    let lost = lost(&connections).await;

    set_idle_since(&connections, ago(CHECK_AFTER_IDLE));

    assert_ne!(server_process(&connections).await.unwrap(), lost);
}

#[tokio::test]
async fn a_connection_that_was_lost_just_now_fails_no_transaction() {
    let (_database, connections) = open(4).await;
    let lost = lost(&connections).await;

    let mut transaction = connections.begin().await.unwrap();

    let process: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *transaction).await.unwrap();
    assert_ne!(process, lost);
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn after_a_failure_anywhere_no_idle_connection_is_used_unchecked() {
    let (_database, connections) = open(4).await;
    let lost = lost(&connections).await;

    connections.idle.as_ref().unwrap().failures.note();

    assert_ne!(server_process(&connections).await.unwrap(), lost);
}

#[tokio::test]
async fn a_connection_that_left_the_pool_long_ago_goes_back_to_it() {
    let (_database, connections) = open(2).await;
    server_process(&connections).await.unwrap();
    let long_ago = ago(RETURN_AFTER + Duration::from_secs(1));
    idle(&connections).idle[0].connection.left_pool_at = long_ago;

    server_process(&connections).await.unwrap();

    assert!(idle(&connections).idle.is_empty());
    server_process(&connections).await.unwrap();
    assert_eq!(idle(&connections).idle.len(), 1);
    idle(&connections).idle[0].connection.left_pool_at = long_ago;
    connections.idle.as_ref().unwrap().return_old();
    assert!(idle(&connections).idle.is_empty());
    let (one, other) = (connections.raw().acquire().await, connections.raw().acquire().await);
    assert!(one.is_ok() && other.is_ok());
}

#[tokio::test]
async fn a_caller_that_is_dropped_while_it_waits_takes_nothing_with_it() {
    let (_database, connections) = open(2).await;

    for polls in 1..20 {
        server_process(&connections).await.unwrap();
        // It is checked before it is used.
        set_idle_since(&connections, ago(CHECK_AFTER_IDLE));
        let mut taking = Box::pin(connections.acquire());
        for _ in 0..polls {
            if let Poll::Ready(taken) = taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                drop(taken.unwrap());
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(taking);
        let (one, other) = (connections.acquire().await, connections.acquire().await);
        assert!(one.is_ok() && other.is_ok(), "after {polls} polls");
        assert!(futures::poll!(Box::pin(connections.acquire())).is_pending());
    }
}
