//! Starting workers: what is an error, and what they do not wait for.

use std::time::Duration;

use queue::workers::{StartError, Workers};

use crate::support::{Act, Bench, Deed, PATIENCE, Record, act, after_act, workers};

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_without_its_pool_or_its_follow_up_is_an_error_at_the_start() {
    let bench = Bench::new().await;
    let elsewhere = Workers::new(&bench.queue, Record::default())
        .pool("elsewhere", 1, Duration::from_secs(1))
        .register(act)
        .register(after_act);
    let alone =
        Workers::new(&bench.queue, Record::default()).pool("test", 1, Duration::from_secs(1)).register(act);

    let no_pool = elsewhere.start().await.err().unwrap();
    let no_follow_up = alone.start().await.err().unwrap();
    let running = workers(&bench.queue, bench.record.clone(), 1).start().await.unwrap();

    assert!(matches!(no_pool, StartError::NoPool { pool: "test", .. }), "{no_pool}");
    assert!(matches!(no_follow_up, StartError::NoFollowUp { kind: "act", follow_up: "after_act" }));
    assert!(no_pool.to_string().contains("the pool test, which these workers do not serve"));
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers").await, 1);
    running.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_start_beside_an_open_transaction_though_a_day_of_the_history_is_missing() {
    let bench = Bench::new().await;
    bench.queue.enqueue(&Act::new("cancelled", Deed::Succeed)).await.unwrap();
    let forget_last_day = "DO $$ BEGIN EXECUTE format('DROP TABLE queue.%I',
        (SELECT max(relname) FROM pg_class WHERE relnamespace = 'queue'::regnamespace AND relkind = 'r' AND relname ~ '^finished_[0-9]')); END $$";
    sqlx::raw_sql(forget_last_day).execute(&bench.pg).await.unwrap();
    let mut cancellation = bench.pg.begin().await.unwrap();
    sqlx::query("SELECT queue.cancel(id, 'the test') FROM queue.jobs")
        .execute(&mut *cancellation)
        .await
        .unwrap();

    let workers = tokio::time::timeout(PATIENCE, bench.work(1)).await.expect("they start");

    cancellation.commit().await.unwrap();
    bench.drained().await;
    workers.stop(Duration::from_secs(1)).await.unwrap();
}
