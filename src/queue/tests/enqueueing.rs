//! Enqueueing: inside a transaction or not at all.

use std::collections::HashMap;
use std::time::Duration;

use queue::enqueue::{self, EnqueueError};
use queue::job::{Enqueued, Job, JobId, NewJob};
use queue::trace::TraceParent;
use serde::{Deserialize, Serialize};

use crate::support::{Act, Bench, Deed};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_exists_exactly_if_its_transaction_commits() {
    let bench = Bench::new().await;

    let mut tx = bench.queue.begin(&bench.pg).await.unwrap();
    tx.enqueue(&Act::new("undone", Deed::Succeed)).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = bench.queue.begin(&bench.pg).await.unwrap();
    tx.enqueue(&Act::new("done", Deed::Succeed)).await.unwrap();
    tx.commit().await.unwrap();

    assert_eq!(bench.text("SELECT string_agg(payload->>'name', ',') FROM queue.jobs").await, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_key_is_reported_and_the_transaction_lives_on() {
    let bench = Bench::new().await;

    let mut tx = bench.queue.begin(&bench.pg).await.unwrap();
    let first = tx.enqueue(NewJob::of(&Act::new("first", Deed::Succeed)).unique_key("k")).await.unwrap();
    let second = tx.enqueue(NewJob::of(&Act::new("second", Deed::Succeed)).unique_key("k")).await.unwrap();
    let in_lane =
        tx.enqueue(NewJob::of(&Act::new("third", Deed::Succeed)).unique_key("k").lane("l")).await.unwrap();
    tx.commit().await.unwrap();

    assert!(matches!(first, Enqueued::New(_)));
    assert_eq!((second, in_lane), (Enqueued::Duplicate, Enqueued::Duplicate));
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 1);
}

/// A map whose keys are no strings has no JSON form.
#[derive(Serialize, Deserialize)]
struct Unwritable(HashMap<(i32, i32), i32>);

impl Job for Unwritable {
    const KIND: &'static str = "unwritable";
    const POOL: &'static str = "test";
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_without_a_json_form_is_refused_and_the_transaction_lives_on() {
    let bench = Bench::new().await;

    let mut tx = bench.queue.begin(&bench.pg).await.unwrap();
    let refused = tx.enqueue(&Unwritable([((1, 2), 3)].into())).await;
    tx.enqueue(&Act::new("done", Deed::Succeed)).await.unwrap();
    tx.commit().await.unwrap();

    assert!(matches!(refused, Err(EnqueueError::Payload { kind: "unwritable", .. })));
    assert_eq!(bench.text("SELECT string_agg(payload->>'name', ',') FROM queue.jobs").await, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_again_when_its_job_has_ended() {
    let bench = Bench::new().await;
    let workers = bench.work(1).await;

    for _ in 0..2 {
        let enqueued =
            bench.queue.enqueue(NewJob::of(&Act::new("again", Deed::Succeed)).unique_key("k")).await.unwrap();
        assert!(matches!(enqueued, Enqueued::New(_)));
        bench.drained().await;
    }

    assert_eq!(bench.record.all(), ["again", "again"]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_reports_each_outcome_in_its_place() {
    let bench = Bench::new().await;
    let job = |name: &str| NewJob::of(&Act::new(name, Deed::Succeed));

    let jobs = [
        job("a").unique_key("x"),
        job("b").lane("z"),
        job("c").unique_key("x"),
        job("d").lane("z"),
        job("e"),
    ];
    let outcomes = bench.enqueue_batch(jobs.into_iter()).await;

    let ids: Vec<Option<JobId>> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Enqueued::New(id) => Some(*id),
            Enqueued::Duplicate => None,
        })
        .collect();
    assert!(ids[2].is_none() && ids.iter().filter(|id| id.is_some()).count() == 4, "{ids:?}");
    assert!(ids[1] < ids[3], "the lane keeps the order of the batch");
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT payload->>'name' FROM queue.jobs WHERE id = ANY ($1) ORDER BY array_position($1, id)",
    )
    .bind(ids.into_iter().flatten().collect::<Vec<JobId>>())
    .fetch_all(&bench.pg)
    .await
    .unwrap();
    assert_eq!(names, ["a", "b", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_one_sort_reports_its_ids_in_the_order_given() {
    let bench = Bench::new().await;
    let jobs = (0..3000).map(|n| NewJob::of(&Act::new(format!("{n}"), Deed::Succeed)).priority(7));

    let outcomes = bench.enqueue_batch(jobs).await;

    for (n, outcome) in outcomes.iter().enumerate().step_by(500) {
        let Enqueued::New(id) = outcome else { panic!("{n} is no duplicate") };
        let (name, priority, attempts): (String, i16, i16) =
            sqlx::query_as("SELECT payload->>'name', priority, max_attempts FROM queue.jobs WHERE id = $1")
                .bind(id)
                .fetch_one(&bench.pg)
                .await
                .unwrap();
        assert_eq!((name, priority, attempts), (format!("{n}"), 7, 3));
    }
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'waiting'").await, 3000);
}

/// A plan that looks each job up among all of the batch takes minutes for these; the limit is far from what a fit one takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_lanes_are_one_batch_like_any_other() {
    let bench = Bench::new().await;
    let batch =
        |from: usize| (from..100_000).map(|n| NewJob::of(&Act::new("x", Deed::Succeed)).lane(format!("{n}")));

    let mut tx = bench.queue.begin(&bench.pg).await.unwrap();
    sqlx::query("SET LOCAL statement_timeout = '40s'").execute(&mut *tx).await.unwrap();
    let heads = tx.enqueue_batch(batch(0).collect()).await.unwrap();
    let behind = tx.enqueue_batch(batch(50_000).collect()).await.unwrap();

    assert_eq!((heads.len(), behind.len()), (100_000, 50_000));
    tx.commit().await.unwrap();
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'held'").await, 50_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_enqueued_on_a_bare_connection_is_found_by_the_poll() {
    let bench = Bench::new().await;
    let workers = bench.work(1).await;

    enqueue::insert(&mut bench.pg.acquire().await.unwrap(), NewJob::of(&Act::new("quiet", Deed::Succeed)))
        .await
        .unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["quiet"]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn higher_priority_goes_first() {
    let bench = Bench::new().await;
    for (name, priority) in [("low", -1), ("first", 5), ("normal", 0)] {
        bench.queue.enqueue(NewJob::of(&Act::new(name, Deed::Succeed)).priority(priority)).await.unwrap();
    }

    let workers = bench.work(1).await;
    bench.drained().await;

    assert_eq!(bench.record.all(), ["first", "normal", "low"]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_makes_a_waiting_job_due_and_cuts_the_snooze_of_a_running_one() {
    let bench = Bench::new().await;
    let workers = bench.work(2).await;
    let far = chrono::Utc::now() + Duration::from_secs(3600);
    bench
        .queue
        .enqueue(NewJob::of(&Act::new("waiting", Deed::Succeed)).run_at(far).unique_key("w"))
        .await
        .unwrap();
    let mut tx = bench.queue.begin(&bench.pg).await.unwrap();
    assert!(tx.wake("w").await.unwrap());
    assert!(!tx.wake("unknown").await.unwrap());
    tx.commit().await.unwrap();
    bench.drained().await;

    // A wake that comes while the job decides to snooze must not be lost.
    sqlx::query("INSERT INTO queue.jobs (max_attempts, state, kind, pool, unique_key, woken, payload) VALUES (3, 'waiting', 'act', 'test', 's', TRUE, $1)")
        .bind(serde_json::to_value(Act::new("snoozes", Deed::SnoozeOnceMs(3_600_000))).unwrap())
        .execute(&bench.pg)
        .await
        .unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["waiting", "snoozes", "snoozes"]);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_carries_the_trace_of_who_enqueued_it() {
    let bench = Bench::new().await;
    let trace = TraceParent::root();

    trace.scope(bench.queue.enqueue(&Act::new("traced", Deed::Succeed))).await.unwrap();

    assert_eq!(bench.text("SELECT traceparent FROM queue.jobs").await, trace.as_str());
}
