//! A stop: what has finished stays finished, the rest is back at once.

use std::time::Duration;

use crate::support::{Act, Bench, Deed, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_running_jobs_and_claims_no_more() {
    let bench = Bench::new().await;
    for n in 0..20 {
        bench.queue.enqueue(&Act::new(format!("{n}"), Deed::TakeMs(200))).await.unwrap();
    }
    let workers = bench.work(4).await;
    bench.until("four run", || async { bench.record.all().len() >= 4 }).await;

    let stopping = workers.stop(Duration::from_secs(3600));
    let handed_back =
        tokio::time::timeout(PATIENCE, stopping).await.expect("it waits for the jobs alone").unwrap();

    assert_eq!(handed_back, 0);
    let ended = bench.record.all().iter().filter(|line| line.ends_with("ended")).count() as i64;
    assert_eq!(bench.count("SELECT count(*) FROM queue.finished").await, ended);
    assert_eq!(
        bench
            .count("SELECT count(*) FROM queue.jobs WHERE state = 'waiting' AND attempt = 0 AND crashes = 0")
            .await,
        20 - ended
    );
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlasts_the_grace_time_is_handed_back_without_an_attempt_lost() {
    let bench = Bench::new().await;
    for n in 0..10 {
        bench.queue.enqueue(&Act::new(format!("{n}"), Deed::TakeMs(3_600_000))).await.unwrap();
    }
    let workers = bench.work(4).await;
    bench.until("four run", || async { bench.record.all().len() >= 4 }).await;

    let stopping = workers.stop(Duration::from_millis(200));
    let handed_back =
        tokio::time::timeout(PATIENCE, stopping).await.expect("it waits for the grace time alone").unwrap();

    assert_eq!(handed_back, 4);
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'waiting' AND attempt = 0 AND crashes = 0 AND suspicion = 0").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_idle_workers_waits_for_nothing() {
    let bench = Bench::new().await;
    let workers = bench.work(4).await;
    bench.queue.enqueue(&Act::new("1", Deed::Succeed)).await.unwrap();
    bench
        .until("it has run", || async { bench.count("SELECT count(*) FROM queue.finished").await == 1 })
        .await;

    let stopping = workers.stop(Duration::from_secs(3600));

    tokio::time::timeout(PATIENCE, stopping).await.expect("nothing is waited for").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_leaves_waits_for_its_claim_under_way() {
    let bench = Bench::new().await;
    bench.queue.enqueue(&Act::new("1", Deed::Succeed)).await.unwrap();
    let worker: i64 = sqlx::query_scalar(
        "INSERT INTO queue.workers (name, lease_until) VALUES ('test', now() + interval '1 hour') RETURNING id",
    )
    .fetch_one(&bench.pg)
    .await
    .unwrap();
    let mut claiming = bench.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.claim_jobs($1, 'test', 4, 1)")
        .bind(worker)
        .execute(&mut *claiming)
        .await
        .unwrap();

    let pg = bench.pg.clone();
    let leaving = tokio::spawn(async move {
        sqlx::query_scalar::<_, i32>("SELECT queue.leave($1)").bind(worker).fetch_one(&pg).await.unwrap()
    });
    bench
        .until("it waits", || async {
            bench.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await == 1
        })
        .await;
    claiming.commit().await.unwrap();

    assert_eq!(leaving.await.unwrap(), 1);
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'waiting'").await, 1);
}
