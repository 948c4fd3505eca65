//! What is due, and who works.

use std::time::Instant;

use queue::pauses::{self, Scope};
use queue::{backlog, processes};
use sqlx::{Connection as _, PgConnection};

use crate::support::{Bench, workers};

#[tokio::test(flavor = "multi_thread")]
async fn a_million_due_jobs_are_told_of_at_once() {
    let bench = Bench::new().await;
    let mut conn = PgConnection::connect(bench.database.url()).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (run_at, max_attempts, state, kind, pool, payload)
         SELECT now() - interval '1 hour', 5, 'waiting', 'act', CASE WHEN n % 2 = 0 THEN 'test' ELSE 'other' END, '{}' FROM generate_series(1, 1000000) n;
         INSERT INTO queue.jobs (run_at, max_attempts, state, kind, pool, worker_id, payload)
         SELECT now() - interval '2 hours', 5, 'running', 'act', 'third', 7, '{}' FROM generate_series(1, 3) n;
         ANALYZE queue.jobs",
    )
    .execute(&mut conn)
    .await
    .unwrap();

    let mut tx = conn.begin().await.unwrap();
    let begun = Instant::now();
    let due = backlog::due(&mut tx).await.unwrap();
    println!("what is due of a million: {:?}", begun.elapsed());
    let (scanned, fetched): (i64, i64) = sqlx::query_as(
        "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = 'queue' AND relname = 'jobs'",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();

    let told: Vec<_> = due.iter().map(|due| (due.pool.as_str(), due.worker_id, due.jobs)).collect();
    assert_eq!(told, [("other", None, 10_001), ("test", None, 10_001), ("third", Some(7), 3)]);
    assert!(scanned == 0 && fetched < 25_000, "{scanned} {fetched}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_what_it_is_and_what_it_can_do() {
    let bench = Bench::new().await;
    let running = workers(&bench.queue, bench.record.clone(), 4).version("1.2.3").start().await.unwrap();

    let mut conn = bench.pg.acquire().await.unwrap();
    let all = processes::all(&mut conn).await.unwrap();
    let kinds = pauses::known(&mut conn, Scope::Kind).await.unwrap();
    let pools = pauses::known(&mut conn, Scope::Pool).await.unwrap();

    assert_eq!(all.len(), 1);
    assert!(all[0].is_alive && all[0].name.ends_with(&format!(":{}", std::process::id())), "{all:?}");
    assert_eq!((all[0].version.as_deref(), all[0].pools.0.get("test")), (Some("1.2.3"), Some(&4)));
    assert!(kinds.contains("act") && pools.contains("test"), "{kinds:?} {pools:?}");
    let first = all[0].renewed_at;
    bench
        .until("there is another heartbeat", || async {
            processes::all(&mut bench.pg.acquire().await.unwrap()).await.unwrap()[0].renewed_at > first
        })
        .await;
    running.stop(std::time::Duration::from_secs(1)).await.unwrap();
}
