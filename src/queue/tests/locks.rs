//! Jobs whose rows somebody else has locked when they end.

use std::time::{Duration, Instant};

use queue::Queue;
use queue::job::{Job as _, NewJob};
use queue::settings::QueueSettings;
use queue::workers::RunningWorkers;

use crate::support::{Act, Bench, Deed, settings, workers};

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_some_jobs_of_lanes_holds_up_the_end_of_no_others() {
    let bench = Bench::new().await;
    for n in 0..12 {
        let job = NewJob::of(&Act::new(format!("{n}"), Deed::TakeMs(1500))).lane(format!("lane {n}"));
        bench.queue.enqueue(job).await.unwrap();
    }
    let workers = bench.work(12).await;
    bench.until("all have begun", async || bench.record.all().len() >= 12).await;

    let mut holder = bench.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.jobs ORDER BY id LIMIT 5 FOR UPDATE").execute(&mut *holder).await.unwrap();
    bench
        .until("the others have ended", async || {
            bench.count("SELECT count(*) FROM queue.finished").await == 7
        })
        .await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'running'").await, 5);
    holder.rollback().await.unwrap();
    bench.drained().await;

    assert_eq!(bench.count("SELECT count(DISTINCT id) FROM queue.finished").await, 12);
    assert_eq!(bench.record.all().len(), 24, "each begins and ends once: {:?}", bench.record.all());
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

/// Workers with as few connections as may be run eight jobs, half of them in lanes, and somebody holds the rows of all of them; returned with
/// who does.
async fn held(bench: &Bench, deed: Deed) -> (RunningWorkers, sqlx::Transaction<'static, sqlx::Postgres>) {
    let few = queue::connections::for_workers().max_connections(5);
    let pool = few.connect_with(bench.database.connect_options().clone()).await.unwrap();
    for n in 0..8 {
        let job = NewJob::of(&Act::new(format!("{n}"), deed.clone()));
        let job = if n % 2 == 0 { job.lane(format!("lane {n}")) } else { job };
        bench.queue.enqueue(job).await.unwrap();
    }
    // A batch is one job, so that both writers of jobs in no lane are held too.
    let queue = Queue::open(pool, QueueSettings { batch: 1, ..settings() });
    let workers = workers(&queue, bench.record.clone(), 8).start().await.unwrap();
    bench.until("all have begun", async || bench.record.all().len() >= 8).await;
    let mut holder = bench.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.jobs FOR UPDATE").execute(&mut *holder).await.unwrap();
    (workers, holder)
}

/// Looks for so long whether the worker's lease holds.
async fn keeps_its_lease(bench: &Bench, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        let leases =
            bench.count("SELECT count(*) FROM queue.workers WHERE lease_until > clock_timestamp()").await;
        assert_eq!(leases, 1, "after {:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_finished_jobs_are_held_keeps_its_lease() {
    let bench = Bench::new().await;
    let (workers, holder) = held(&bench, Deed::TakeMs(1500)).await;

    bench.until("all have ended", async || bench.record.all().len() >= 16).await;
    keeps_its_lease(&bench, settings().lease * 2).await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs").await, 8);
    holder.rollback().await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all().len(), 16, "each begins and ends once: {:?}", bench.record.all());
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_failed_jobs_are_held_keeps_its_lease() {
    let bench = Bench::new().await;
    let (workers, holder) = held(&bench, Deed::Hang).await;

    keeps_its_lease(&bench, Act::TIMEOUT.unwrap() + settings().lease * 2).await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'running'").await, 8);
    holder.rollback().await.unwrap();

    bench
        .until("each failure is counted", async || {
            bench.count("SELECT count(*) FROM queue.jobs WHERE attempt = 1 AND crashes = 0").await == 8
        })
        .await;
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_tells_what_is_locked_from_what_is_gone() {
    let bench = Bench::new().await;
    for name in ["locked", "gone", "there"] {
        bench.queue.enqueue(NewJob::of(&Act::new(name, Deed::Succeed)).lane(name)).await.unwrap();
    }
    let worker: i64 = sqlx::query_scalar(
        "INSERT INTO queue.workers (name, lease_until) VALUES ('this', now() + interval '1 hour') RETURNING id",
    )
    .fetch_one(&bench.pg)
    .await
    .unwrap();
    let claimed: Vec<(i64, i64)> =
        sqlx::query_as("SELECT id, claim FROM queue.claim_jobs($1, 'test', 3, 1) ORDER BY id")
            .bind(worker)
            .fetch_all(&bench.pg)
            .await
            .unwrap();
    let (ids, claims): (Vec<i64>, Vec<i64>) = claimed.into_iter().unzip();
    let mut holder = bench.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM queue.jobs WHERE id = $1 FOR UPDATE")
        .bind(ids[0])
        .execute(&mut *holder)
        .await
        .unwrap();
    sqlx::query("SELECT queue.finish($1, $2, TRUE)")
        .bind(&ids[1..2])
        .bind(&claims[1..2])
        .execute(&bench.pg)
        .await
        .unwrap();

    let (ended, locked): (Vec<i64>, Vec<i64>) =
        sqlx::query_as("SELECT ended, locked FROM queue.finish($1, $2, FALSE)")
            .bind(&ids)
            .bind(&claims)
            .fetch_one(&bench.pg)
            .await
            .unwrap();

    assert_eq!((ended, locked), (vec![ids[2]], vec![ids[0]]));
}
