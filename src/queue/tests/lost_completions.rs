//! What the database has forgotten, or no longer keeps in order, stands still for nobody.

use std::time::Duration;

use queue::Queue;
use queue::job::NewJob;
use queue::settings::QueueSettings;

use crate::support::{Act, Bench, Deed, settings, workers};

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_under_this_worker_and_is_unknown_to_it_goes_back() {
    let bench = Bench::new().await;
    let often = QueueSettings { strays_every: Duration::from_millis(100), ..settings() };
    let queue = Queue::open(bench.database.pool().await, often);
    sqlx::raw_sql("INSERT INTO queue.pauses (scope, name, paused_by) VALUES ('pool', 'test', 'test')")
        .execute(&bench.pg)
        .await
        .unwrap();
    bench.queue.enqueue(NewJob::of(&Act::new("forgotten", Deed::Succeed)).lane("the lane")).await.unwrap();
    let running = workers(&queue, bench.record.clone(), 4).start().await.unwrap();
    // As a server leaves it that remembers the claim and not the end.
    sqlx::raw_sql(
        "UPDATE queue.jobs SET state = 'running', worker_id = (SELECT max(id) FROM queue.workers), claim = nextval('queue.claim_ids'), claimed_at = now();
         DELETE FROM queue.pauses",
    )
    .execute(&bench.pg)
    .await
    .unwrap();

    bench.queue.enqueue(&Act::new("other", Deed::Succeed)).await.unwrap();
    bench.drained().await;
    running.stop(Duration::from_secs(5)).await.unwrap();

    assert_eq!(bench.record.all(), ["other", "forgotten"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_without_a_head_heals_itself() {
    let bench = Bench::new().await;
    for name in ["head", "one", "two"] {
        bench.queue.enqueue(NewJob::of(&Act::new(name, Deed::Succeed)).lane("the lane")).await.unwrap();
    }
    sqlx::raw_sql("DELETE FROM queue.jobs WHERE payload->>'name' = 'head'").execute(&bench.pg).await.unwrap();
    let often = QueueSettings { strays_every: Duration::from_millis(100), ..settings() };
    let queue = Queue::open(bench.database.pool().await, often);

    let running = workers(&queue, bench.record.clone(), 4).start().await.unwrap();
    bench.drained().await;
    running.stop(Duration::from_secs(5)).await.unwrap();

    assert_eq!(bench.record.all(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_under_way_and_running_jobs_are_not_taken_for_forgotten_ones() {
    let bench = Bench::new().await;
    // All the time.
    let often = QueueSettings { strays_every: Duration::from_millis(1), ..settings() };
    let queue = Queue::open(bench.database.pool().await, often);
    let running = workers(&queue, bench.record.clone(), 16).start().await.unwrap();

    for number in 0..400 {
        let job = NewJob::of(&Act::new(format!("{number}"), Deed::TakeMs(number % 20)));
        bench.queue.enqueue(job.lane(format!("lane {}", number % 50))).await.unwrap();
    }
    bench.drained().await;
    running.stop(Duration::from_secs(5)).await.unwrap();

    assert_eq!(bench.count("SELECT count(*) FROM queue.attempts").await, 0);
    assert_eq!(bench.count("SELECT count(*) FROM queue.finished").await, 400);
    assert_eq!(bench.record.all().len(), 800);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_a_forgotten_time_has_another_fence_than_the_one_that_got_its_number() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "INSERT INTO queue.workers (name, lease_until) VALUES ('of before', now() + interval '1 hour');
         INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload) VALUES (3, 'waiting', 'act', 'test', '{}')",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    let mut fences = Vec::new();
    for _ in 0..2 {
        sqlx::raw_sql(
            "UPDATE queue.jobs SET state = 'waiting', worker_id = NULL, claim = NULL; SELECT setval('queue.claim_ids', 1, FALSE)",
        )
        .execute(&bench.pg)
        .await
        .unwrap();
        let claim = "SELECT claim FROM queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', 1, 1)";
        fences.push(sqlx::query_scalar::<_, i64>(claim).fetch_one(&bench.pg).await.unwrap());
    }

    assert_eq!(fences[0] >> 16, fences[1] >> 16, "the sequence went back");
    assert_ne!(fences[0], fences[1]);
}
