//! Connections that are ready before there is work.

use queue::connections;

use crate::support::{Act, Bench, Deed};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_of_workers_has_made_its_claim_and_its_completions_ready() {
    let bench = Bench::new().await;

    let pool = connections::for_workers().max_connections(1).connect(bench.database.url()).await.unwrap();

    let ready: Vec<String> = sqlx::query_scalar("SELECT statement FROM pg_prepared_statements")
        .persistent(false)
        .fetch_all(&pool)
        .await
        .unwrap();
    for function in ["queue.claim_jobs(", "queue.finish_free(", "queue.finish("] {
        assert!(ready.iter().any(|statement| statement.contains(function)), "{function} in {ready:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tables_can_be_connected_to() {
    let bench = Bench::new().await;
    let options = bench.pg.connect_options().as_ref().clone().database("postgres");

    let pool = connections::for_workers().max_connections(1).connect_with(options).await.unwrap();

    assert_eq!(sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&pool).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_no_jobs_takes_nothing() {
    let bench = Bench::new().await;
    bench.queue.enqueue(&Act::new("one", Deed::Succeed)).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO queue.workers (name, lease_until) VALUES ('this', now() + interval '1 hour');
         INSERT INTO queue.pauses (scope, name, paused_by) VALUES ('kind', 'act', 'test')",
    )
    .execute(&bench.pg)
    .await
    .unwrap();

    for worker in ["(SELECT max(id) FROM queue.workers)", "0"] {
        let claim = format!("SELECT count(*) FROM queue.claim_jobs({worker}, 'test', 0, 1)");
        let taken: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(claim)).fetch_one(&bench.pg).await.unwrap();
        assert_eq!(taken, 0);
    }

    assert_eq!(bench.text("SELECT state::TEXT FROM queue.jobs").await, "waiting");
}
