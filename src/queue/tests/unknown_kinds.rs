//! Jobs of a kind that a process does not know, as in a rolling deploy.

use std::time::Duration;

use queue::Queue;
use queue::claim::Claim;
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
    type App = Record;

    const KIND: &'static str = "dance";
    const POOL: &'static str = "test";

    async fn run(self, record: Record, _: Claim) -> Result<(), Failure> {
        record.note(self.name);
        Ok(())
    }
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
    let new = workers(&queue, bench.record.clone(), 4).register::<Dance>().start().await.unwrap();
    bench.drained().await;

    let done = bench.record.all();
    let place = |name: &str| done.iter().position(|done| done == name);
    assert!(place("alone").is_some() && place("first") < place("second"), "{done:?}");
    assert_eq!(bench.count("SELECT count(*) FROM queue.dead").await, 0);
    assert_eq!(bench.count("SELECT count(*) FROM queue.unknown_kinds").await, 0);
    old.stop(Duration::from_secs(1)).await.unwrap();
    new.stop(Duration::from_secs(1)).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn one_claim_finds_what_is_due_behind_a_backlog_of_them() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "INSERT INTO queue.workers (name, lease_until, kinds) VALUES ('test', now() + interval '1 hour', ARRAY['act']);
         INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload)
         SELECT 3, 'waiting', CASE WHEN n > 20000 THEN 'act' ELSE 'dance' END, 'test', '{}' FROM generate_series(1, 20004) n",
    )
    .execute(&bench.pg)
    .await
    .unwrap();

    let claimed = bench
        .count("SELECT count(*) FROM queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', 4, 1) WHERE kind = 'act'")
        .await;

    assert_eq!(claimed, 4);
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'parked'").await, 20_000);
}
