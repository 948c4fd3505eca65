//! The database goes away under load and comes back; a process is asked to stop under load.

use std::time::Duration;

use private_postgres::scratch_cluster::ScratchCluster;
use private_postgres::test_database::TestDatabase;
use queue::Queue;
use rustix::process::{Pid, Signal};

use crate::storms::{Storm, child, end};
use crate::support::{Act, Deed, PATIENCE, Record, SCHEMA, settings, workers};

const LANES: usize = 50;
const EACH: i32 = 40;

/// Two processes work; the server stops in one way or another, is away for a while, and comes back.
async fn away_for(away: Duration, killed: bool) {
    let cluster = ScratchCluster::create(&SCHEMA).await;
    let storm = Storm::new(cluster.url(), LANES, EACH).await;
    let mut processes = [child(&storm), child(&storm)];
    storm
        .until("some steps are taken", async || storm.count("SELECT count(*) FROM effects").await > Some(100))
        .await;

    if killed {
        cluster.kill().await;
    } else {
        cluster.stop().await;
    }
    tokio::time::sleep(away).await;
    for process in &mut processes {
        assert!(process.try_wait().unwrap().is_none(), "a worker died of it");
    }
    cluster.start_again().await;
    storm.drained().await;
    processes.into_iter().for_each(end);

    storm.every_step_once_in_order(LANES, EACH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_and_comes_back_costs_nothing() {
    away_for(Duration::from_secs(3), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_costs_nothing() {
    away_for(Duration::from_secs(1), true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a quarter of a minute; run it with `cargo test -p queue --test contract -- --ignored`"]
async fn a_server_that_is_away_for_ten_seconds_costs_nothing() {
    away_for(Duration::from_secs(10), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_can_be_stopped_while_the_server_is_away() {
    let cluster = ScratchCluster::create(&SCHEMA).await;
    let queue = Queue::open(cluster.pool().await, settings());
    let record = Record::default();
    queue.enqueue(&Act::new("long", Deed::TakeMs(60_000))).await.unwrap();
    let workers = workers(&queue, record.clone(), 4).start().await.unwrap();
    while record.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.stop().await;

    let stopping = tokio::time::timeout(PATIENCE, workers.stop(Duration::from_millis(300)));

    let stopped = stopping.await.expect("it does not wait for the server");
    assert!(stopped.is_err(), "what could not be handed back is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_ends_in_time_and_costs_no_attempt() {
    let database = TestDatabase::create(&SCHEMA).await;
    let storm = Storm::new(database.url(), 200, 100).await;
    let mut process = child(&storm);
    storm.until("it works", async || storm.count("SELECT count(*) FROM effects").await > Some(500)).await;

    rustix::process::kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    let ending = tokio::task::spawn_blocking(move || process.wait().unwrap());
    let exit =
        tokio::time::timeout(PATIENCE, ending).await.expect("it ends though there is more to do").unwrap();

    assert!(exit.success(), "{exit}");
    let left = storm.count("SELECT count(*) FROM queue.jobs").await.unwrap();
    assert!(left > 0, "there was load until the end");
    assert_eq!(storm.count("SELECT count(*) FROM queue.jobs WHERE state = 'running'").await, Some(0));
    assert_eq!(
        storm.count("SELECT count(*) FROM queue.jobs WHERE crashes > 0 OR suspicion > 0").await,
        Some(0)
    );
    assert_eq!(
        storm.count("SELECT count(*) FROM queue.finished").await,
        storm.count("SELECT count(*) FROM effects").await
    );
    assert_eq!(
        storm.count("SELECT sum(attempt)::BIGINT FROM (SELECT attempt FROM queue.jobs UNION ALL SELECT attempt - 1 FROM queue.finished) a").await,
        storm.count("SELECT count(*) FROM queue.attempts WHERE outcome = 'failed'").await,
        "only what failed was counted"
    );
    assert_eq!(storm.count("SELECT count(*) FROM queue.workers").await, Some(0));
}
