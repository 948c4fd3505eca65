//! Jobs of a kind that a process does not know, as in a rolling deploy.

use std::time::Duration;

use queue::Queue;
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::job::{Job, NewJob};
use queue::unknown_kinds;
use serde::{Deserialize, Serialize};

use crate::support::{Act, Bench, Deed, Record, settings, workers};

/// What only a newer version knows.
#[derive(Serialize, Deserialize)]
struct Dance {
    name: String,
}

impl Job for Dance {
    const KIND: &'static str = "dance";
    const POOL: &'static str = "test";
}

async fn do_dance(job: Dance, record: Record, _: Attempt) -> Result<(), Failure> {
    record.note(job.name);
    Ok(())
}

fn dance(name: &str) -> Dance {
    Dance { name: name.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_wait_for_a_process_that_knows_them_and_their_lane_with_them() {
    let bench = Bench::new().await;
    let old = bench.work(4).await;
    bench.queue.enqueue(&dance("alone")).await.unwrap();
    bench.queue.enqueue(NewJob::of(&dance("first")).lane("lane")).await.unwrap();
    bench.queue.enqueue(NewJob::of(&Act::new("second", Deed::Succeed)).lane("lane")).await.unwrap();
    bench.queue.enqueue(&Act::new("elsewhere", Deed::Succeed)).await.unwrap();
    bench
        .until("the unknown are parked, the known done", || async {
            bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'parked' AND attempt = 0").await == 2
                && bench.record.all() == ["elsewhere"]
        })
        .await;
    let told = unknown_kinds::since(&mut bench.pg.acquire().await.unwrap(), Duration::ZERO).await.unwrap();
    assert_eq!(
        told.iter().map(|unknown| (unknown.kind.as_str(), unknown.jobs)).collect::<Vec<_>>(),
        [("dance", 2)]
    );

    let queue = Queue::open(bench.database.pool().await, settings());
    let new = workers(&queue, bench.record.clone(), 4).register(do_dance).start().await.unwrap();
    bench.drained().await;

    let done = bench.record.all();
    let place = |name: &str| done.iter().position(|done| done == name);
    assert!(place("alone").is_some() && place("first") < place("second"), "{done:?}");
    assert_eq!(bench.count("SELECT count(*) FROM queue.dead").await, 0);
    bench
        .until("no kind counts as unknown", || async {
            bench.count("SELECT count(*) FROM queue.unknown_kinds").await == 0
        })
        .await;
    old.stop(Duration::from_secs(1)).await.unwrap();
    new.stop(Duration::from_secs(1)).await.unwrap();
}

/// Counts how often each job is parked.
const COUNTED: &str = "
    CREATE TABLE parkings (job BIGINT, suspicion SMALLINT);
    CREATE FUNCTION note_parking() RETURNS TRIGGER LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO parkings VALUES (NEW.id, NEW.suspicion); RETURN NULL; END $$;
    CREATE TRIGGER parkings AFTER UPDATE OF state ON queue.jobs FOR EACH ROW
        WHEN (NEW.state = 'parked' AND OLD.state <> 'parked') EXECUTE FUNCTION note_parking()";

#[tokio::test(flavor = "multi_thread")]
async fn while_old_and_new_processes_run_each_job_is_parked_once_at_most_and_done_by_the_new_one() {
    let bench = Bench::new().await;
    sqlx::raw_sql(COUNTED).execute(&bench.pg).await.unwrap();
    let old = bench.work(4).await;
    let queue = Queue::open(bench.database.pool().await, settings());
    let new = workers(&queue, bench.record.clone(), 2).register(do_dance).start().await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (max_attempts, state, kind, pool, suspicion, payload)
         SELECT 3, 'waiting', 'dance', 'test', n % 100 / 99, format('{\"name\": \"dance %s\"}', n)::JSONB FROM generate_series(1, 600) n",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    for number in 0..50 {
        bench.queue.enqueue(NewJob::of(&dance(&format!("in lane {number}"))).lane("lane")).await.unwrap();
        bench.queue.enqueue(&Act::new(format!("act {number}"), Deed::Succeed)).await.unwrap();
    }

    bench.drained().await;

    let twice = "SELECT count(*) FROM (SELECT FROM parkings GROUP BY job HAVING count(*) > 1) AS again";
    assert_eq!(bench.count(twice).await, 0);
    let done = bench.record.all();
    assert_eq!(done.iter().filter(|name| name.starts_with("dance")).count(), 600);
    let in_lane: Vec<_> = done.iter().filter(|name| name.starts_with("in lane")).collect();
    assert_eq!(
        in_lane,
        (0..50).map(|number| format!("in lane {number}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    assert_eq!(bench.count("SELECT count(*) FROM queue.dead").await, 0);
    bench
        .until("no kind counts as unknown", || async {
            bench.count("SELECT count(*) FROM queue.unknown_kinds").await == 0
        })
        .await;
    old.stop(Duration::from_secs(1)).await.unwrap();
    new.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_of_a_kind_that_all_know_again_goes_back() {
    let bench = Bench::new().await;
    let old = bench.work(1).await;
    bench.queue.enqueue(&dance("alone")).await.unwrap();
    bench
        .until("it is parked", || async {
            bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'parked'").await == 1
        })
        .await;
    old.stop(Duration::from_secs(1)).await.unwrap();
    sqlx::query("UPDATE queue.workers SET lease_until = now() - interval '1 second'")
        .execute(&bench.pg)
        .await
        .unwrap();
    sqlx::raw_sql("INSERT INTO queue.workers (name, lease_until, kinds) VALUES ('new', now() + interval '1 hour', ARRAY['dance'])")
        .execute(&bench.pg)
        .await
        .unwrap();

    sqlx::query("SELECT queue.tick((SELECT max(id) FROM queue.workers), ARRAY['test'], 3)")
        .execute(&bench.pg)
        .await
        .unwrap();

    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'waiting'").await, 1);
    assert_eq!(bench.count("SELECT count(*) FROM queue.unknown_kinds").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_of_an_unknown_kind_keeps_its_suspicion_and_no_other_one_waits_for_it() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (max_attempts, state, kind, pool, suspicion, payload) VALUES (3, 'waiting', 'dance', 'test', 1, '{}');
         INSERT INTO queue.jobs (max_attempts, state, kind, pool, suspicion, payload) VALUES (3, 'waiting', 'act', 'test', 1, '{\"name\": \"known\", \"deed\": \"Succeed\"}')",
    )
    .execute(&bench.pg)
    .await
    .unwrap();

    let workers = bench.work(4).await;
    bench.until("the known one is done", || async { bench.record.all() == ["known"] }).await;

    let left = "SELECT count(*) FROM queue.jobs WHERE state = 'parked' AND kind = 'dance' AND suspicion = 1";
    assert_eq!(bench.count(left).await, 1);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

/// The backlog takes three stretches, a small part of the three seconds that a claim gives to parking, on a busy machine too.
#[tokio::test(flavor = "multi_thread")]
async fn one_claim_finds_what_is_due_behind_a_backlog_of_them() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "INSERT INTO queue.workers (name, lease_until, kinds) VALUES ('test', now() + interval '1 hour', ARRAY['act']);
         INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload)
         SELECT 3, 'waiting', CASE WHEN n > 4500 THEN 'act' ELSE 'dance' END, 'test', '{}' FROM generate_series(1, 4504) n",
    )
    .execute(&bench.pg)
    .await
    .unwrap();

    let claimed = bench
        .count("SELECT count(*) FROM queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', 4, 1) WHERE kind = 'act'")
        .await;

    assert_eq!(claimed, 4);
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'parked'").await, 4_500);
}
