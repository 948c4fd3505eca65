//! The history's partitions are made and dropped beside whoever reads or writes it for long, a backup say.

use std::time::Duration;

use sqlx::{PgConnection, Postgres, Transaction};

use crate::support::{Act, Bench, Deed};

/// How many partitions there are of the day in three days, which is the last one that is made ahead.
const LAST_AHEAD: &str = "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'queue.finished'::regclass
      AND c.relname = 'finished_' || to_char((now() AT TIME ZONE 'UTC')::DATE + 3, 'YYYYMMDD')";

async fn execute(conn: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(conn).await.unwrap();
}

/// The last partition ahead is missing, as on the first start of a day.
async fn a_day_passes(bench: &Bench) {
    let drop_last = "DO $$ BEGIN
        EXECUTE 'DROP TABLE queue.finished_' || to_char((now() AT TIME ZONE 'UTC')::DATE + 3, 'YYYYMMDD');
    END $$";
    execute(&mut bench.pg.acquire().await.unwrap(), drop_last).await;
}

/// A transaction that has read the history and stays open.
async fn reader(bench: &Bench) -> Transaction<'static, Postgres> {
    let mut reader = bench.pg.begin().await.unwrap();
    execute(&mut reader, "SELECT count(*) FROM queue.finished").await;
    reader
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_history_holds_up_no_start_and_no_job() {
    let bench = Bench::new().await;
    a_day_passes(&bench).await;
    let reader = reader(&bench).await;

    let workers = bench.work(4).await;
    bench.queue.enqueue(&Act::new("one", Deed::Succeed)).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["one"]);
    assert_eq!(bench.count(LAST_AHEAD).await, 0, "it cannot be made beside the reader");
    reader.commit().await.unwrap();
    bench.count("SELECT queue.prune(14)::BIGINT").await;
    assert_eq!(bench.count(LAST_AHEAD).await, 1, "the next upkeep makes it");
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_is_dropped_by_a_later_upkeep() {
    let bench = Bench::new().await;
    let old = "CREATE TABLE queue.finished_20200101 PARTITION OF queue.finished FOR VALUES FROM ('2020-01-01 00:00Z') TO ('2020-01-02 00:00Z')";
    execute(&mut bench.pg.acquire().await.unwrap(), old).await;
    let reader = reader(&bench).await;

    let beside = bench.count("SELECT queue.prune(14)::BIGINT").await;
    reader.commit().await.unwrap();
    let afterwards = bench.count("SELECT queue.prune(14)::BIGINT").await;

    assert_eq!((beside, afterwards), (0, 1));
}

/// A job that a person cancels while no worker has run for days is written down where no day has a partition.
#[tokio::test(flavor = "multi_thread")]
async fn what_ended_on_a_day_without_a_partition_keeps_no_worker_from_starting() {
    let bench = Bench::new().await;
    a_day_passes(&bench).await;
    let astray = "INSERT INTO queue.finished (id, kind, pool, payload, created_at, finished_at, attempt, crashes, cancelled)
        VALUES (1, 'act', 'test', '{}', now(), now() + INTERVAL '3 days', 1, 0, TRUE)";
    execute(&mut bench.pg.acquire().await.unwrap(), astray).await;

    let workers = bench.work(4).await;
    bench.queue.enqueue(&Act::new("one", Deed::Succeed)).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["one"]);
    assert_eq!(bench.count("SELECT count(*) FROM queue.finished_default").await, 1);
    workers.stop(Duration::from_secs(1)).await.unwrap();
}

/// Pruning may delete for long, and the lock of a new partition lasts until its transaction ends.
#[tokio::test(flavor = "multi_thread")]
async fn no_job_waits_for_what_is_deleted_before_a_partition_is_made() {
    let bench = Bench::new().await;
    let old = "INSERT INTO queue.attempts (job_id, attempt, outcome, ended_at) VALUES (1, 1, 'failed', '2020-01-01')";
    execute(&mut bench.pg.acquire().await.unwrap(), old).await;
    let mut held = bench.pg.begin().await.unwrap();
    execute(&mut held, "SELECT FROM queue.attempts WHERE job_id = 1 FOR UPDATE").await;
    a_day_passes(&bench).await;

    let workers = bench.work(4).await;
    bench
        .until("the pruning waits", || async {
            bench.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await > 0
        })
        .await;
    bench.queue.enqueue(&Act::new("one", Deed::Succeed)).await.unwrap();
    bench.drained().await;

    assert_eq!(bench.record.all(), ["one"]);
    held.commit().await.unwrap();
    bench.until("the partition is made", || async { bench.count(LAST_AHEAD).await == 1 }).await;
    workers.stop(Duration::from_secs(1)).await.unwrap();
}
