//! Connections that one caller hands on to the next.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use queue::connections::{self, Connections};
use queue::session_health::Failures;

use crate::support::{Bench, PATIENCE};

/// A pool of so many open connections, and how many have come back to it.
async fn open(bench: &Bench, number: u32) -> (Connections, Arc<AtomicUsize>) {
    let returned = Arc::new(AtomicUsize::new(0));
    let counted = returned.clone();
    let options = connections::options()
        .max_connections(number)
        .min_connections(number)
        .acquire_timeout(PATIENCE)
        .after_release(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(true) })
        });
    let pg = options.connect_with(bench.database.connect_options()).await.unwrap();
    (Connections::new(pg, Failures::default()), returned)
}

async fn server_process(connections: &Connections) -> sqlx::Result<i32> {
    connections.run(async |conn| sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await).await
}

/// The same in a transaction.
async fn server_process_of_transaction(connections: &Connections) -> sqlx::Result<i32> {
    let mut tx = connections.begin().await?;
    let process = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(process)
}

#[tokio::test]
async fn statements_and_transactions_that_follow_each_other_run_in_one_server_process() {
    let bench = Bench::new().await;
    let (connections, _) = open(&bench, 4).await;

    let first = server_process(&connections).await.unwrap();

    for _ in 0..4 {
        assert_eq!(server_process(&connections).await.unwrap(), first);
        assert_eq!(server_process_of_transaction(&connections).await.unwrap(), first);
        connections.begin().await.unwrap().rollback().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_wait_get_the_connections_of_others_without_a_way_through_the_pool() {
    let bench = Bench::new().await;
    let (connections, returned) = open(&bench, 4).await;

    let callers = (0..200).map(|_| {
        let connections = connections.clone();
        tokio::spawn(async move { server_process_of_transaction(&connections).await })
    });
    let mut processes: Vec<i32> = futures::future::join_all(callers)
        .await
        .into_iter()
        .map(|process| process.unwrap().unwrap())
        .collect();

    processes.sort_unstable();
    processes.dedup();
    assert!(processes.len() <= 4, "{processes:?}");
    // One comes back while another caller is on its way to the pool, and half of them when nobody waits any more.
    let returned = returned.load(Ordering::Relaxed);
    assert!(returned <= 50, "{returned} of 200");
}

#[tokio::test]
async fn a_caller_that_waits_gets_the_connection_that_comes_free() {
    let bench = Bench::new().await;
    let (connections, _) = open(&bench, 2).await;
    let _half = connections.raw().acquire().await.unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let mut first = pin!(connections.run(async |_| -> sqlx::Result<()> {
        ended.await.unwrap();
        Ok(())
    }));
    let mut second = pin!(server_process(&connections));
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut second).is_pending());

    end.send(()).unwrap();
    first.await.unwrap();

    let second = tokio::time::timeout(PATIENCE, second).await;
    assert!(second.expect("it got the connection").is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_user_of_the_pool_gets_a_connection_though_callers_come_all_the_time() {
    let bench = Bench::new().await;
    let (connections, _) = open(&bench, 2).await;
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let connections = connections.clone();
            tokio::spawn(async move { while server_process_of_transaction(&connections).await.is_ok() {} })
        })
        .collect();
    bench.until("all connections are taken", || async { connections.raw().num_idle() == 0 }).await;

    let own = tokio::time::timeout(PATIENCE, connections.raw().acquire()).await;

    assert!(own.expect("its turn comes").is_ok());
    callers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_answer_of_a_dropped_statement_reaches_no_other_statement() {
    let bench = Bench::new().await;
    let (connections, _) = open(&bench, 2).await;
    let slow = connections
        .run(async |conn| sqlx::query_scalar::<_, i32>("SELECT 1 FROM pg_sleep(0.2)").fetch_one(conn).await);

    assert!(tokio::time::timeout(Duration::from_millis(50), slow).await.is_err());

    for _ in 0..4 {
        assert_ne!(server_process(&connections).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn who_waits_for_longer_than_the_pool_allows_is_told() {
    let bench = Bench::new().await;
    let options = connections::options().max_connections(1).acquire_timeout(Duration::from_millis(100));
    let pg = options.connect_lazy_with(bench.database.connect_options());
    let connections = Connections::new(pg, Failures::default());
    let mut only = connections.begin().await.unwrap();

    let waited = connections.begin().await;

    assert!(matches!(waited, Err(sqlx::Error::PoolTimedOut)));
    sqlx::raw_sql("SELECT 1").execute(&mut *only).await.unwrap();
}

#[tokio::test]
async fn a_pool_whose_connections_are_idle_here_can_be_closed() {
    let bench = Bench::new().await;
    let (connections, _) = open(&bench, 4).await;
    server_process(&connections).await.unwrap();
    let last = connections.begin().await.unwrap();

    let closing = tokio::spawn({
        let pg = connections.raw().clone();
        async move { pg.close().await }
    });
    last.commit().await.unwrap();
    tokio::time::timeout(PATIENCE, closing).await.expect("all connections come back").unwrap();

    assert!(matches!(server_process(&connections).await, Err(sqlx::Error::PoolClosed)));
    assert!(matches!(connections.begin().await, Err(sqlx::Error::PoolClosed)));
}
