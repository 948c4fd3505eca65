//! A server that a test may stop and kill.

use private_postgres::scratch_cluster::ScratchCluster;
use sqlx::{Connection, Executor, PgConnection};

use crate::test_databases::SCHEMA;

#[tokio::test]
async fn a_stopped_and_a_killed_server_come_back_at_the_same_address_with_all_commits() {
    let cluster = ScratchCluster::create(&SCHEMA).await;
    let pool = cluster.pool().await;

    pool.execute("INSERT INTO things VALUES ('before the stop')").await.unwrap();
    cluster.stop().await;
    PgConnection::connect(cluster.url()).await.unwrap_err();
    cluster.start_again().await;
    pool.execute("INSERT INTO things VALUES ('before the crash')").await.unwrap();
    cluster.kill().await;
    PgConnection::connect(cluster.url()).await.unwrap_err();
    cluster.start_again().await;

    let names = sqlx::query_scalar("SELECT name FROM things ORDER BY name");
    let names: Vec<String> = names.fetch_all(&pool).await.unwrap();
    assert_eq!(names, ["before the crash", "before the stop"]);
}
