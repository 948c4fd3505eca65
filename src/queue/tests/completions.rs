//! Jobs that a transaction of their handler's ends.

use std::time::Duration;

use queue::Queue;
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::job::Job;
use queue::workers::Workers;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::support::{Bench, settings};

/// Ends itself.
#[derive(Serialize, Deserialize)]
struct EndItself {
    /// A statement of the transaction fails before, which the handler does not mind.
    after_failure: bool,
}

impl Job for EndItself {
    const KIND: &'static str = "end_itself";
    const POOL: &'static str = "test";
}

async fn end_itself(job: EndItself, pg: PgPool, attempt: Attempt) -> Result<(), Failure> {
    let mut tx = attempt.queue().begin(&pg).await?;
    if job.after_failure {
        let failed = sqlx::query("SELECT 1 / 0").execute(&mut *tx).await;
        assert!(failed.is_err());
    }
    let completed = attempt.complete_and_commit(tx).await;
    assert_eq!(completed.is_err(), job.after_failure, "{completed:?}");
    Ok(())
}

/// Does this job as often as asked for, over connections of their own, all of which are closed at the end.
async fn run(bench: &Bench, job: EndItself, times: usize) {
    let options = bench.database.connect_options().clone().application_name("ends");
    let pg = queue::connections::options().connect_with(options).await.unwrap();
    let queue = Queue::open(pg.clone(), settings());
    let workers = Workers::new(&queue, pg.clone())
        .pool("test", 4, Duration::from_secs(5))
        .register(end_itself)
        .start()
        .await
        .unwrap();
    for _ in 0..times {
        queue.enqueue(&job).await.unwrap();
    }
    bench.drained().await;
    workers.stop(Duration::from_secs(5)).await.unwrap();
    pg.close().await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ends'";
    bench.until("the server has seen them go", || async { bench.count(open).await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_its_own_transaction_has_ended_is_not_ended_again() {
    let bench = Bench::new().await;
    let counted = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_functions = pl', current_database()); END $$";
    sqlx::raw_sql(counted).execute(&bench.pg).await.unwrap();

    run(&bench, EndItself { after_failure: false }, 20).await;

    assert_eq!(bench.count("SELECT count(*) FROM queue.finished").await, 20);
    let calls = "SELECT sum(calls)::BIGINT FROM pg_stat_user_functions WHERE schemaname = 'queue' AND (funcname LIKE 'finish%' OR funcname = 'complete_one')";
    assert_eq!(bench.count(calls).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_transaction_has_failed_is_ended_by_its_worker_alone() {
    let bench = Bench::new().await;

    run(&bench, EndItself { after_failure: true }, 1).await;

    assert_eq!(bench.count("SELECT count(*) FROM queue.finished WHERE NOT cancelled").await, 1);
}
