//! A database is brought up to date once, by whoever starts first.

use std::time::Duration;

use private_postgres::test_database::TestDatabase;
use store::migrations::{self, MigrationError};

use crate::Tables;

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_may_migrate_at_once() {
    let database = TestDatabase::empty().await;
    let pg = database.pool().await;

    let migrated = futures::future::join_all((0..5).map(|_| migrations::run(&pg))).await;

    assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
    assert_eq!(migrations::missing(&pg).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_holds_up_no_other_process() {
    let database = TestDatabase::empty().await;
    let pg = database.pool().await;
    sqlx::raw_sql("CREATE TABLE channel_users (in_the_way BOOLEAN)").execute(&pg).await.unwrap();
    let together = || futures::future::join_all((0..4).map(|_| migrations::run(&pg)));

    let failed =
        tokio::time::timeout(Duration::from_secs(30), together()).await.expect("nobody waits for ever");
    sqlx::raw_sql("DROP TABLE channel_users").execute(&pg).await.unwrap();
    let migrated =
        tokio::time::timeout(Duration::from_secs(30), together()).await.expect("nobody waits for ever");

    assert!(failed.iter().all(Result::is_err), "{failed:?}");
    assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_before_the_first_release_is_refused() {
    let tables = Tables::new().await;
    sqlx::raw_sql("UPDATE _sqlx_migrations SET checksum = sha384('another') WHERE version = 1")
        .execute(&tables.pg)
        .await
        .unwrap();

    let refused = migrations::run(&tables.pg).await.unwrap_err();

    assert!(matches!(refused, MigrationError::Former), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_an_earlier_text_are_made_anew_and_those_of_a_later_one_are_left_alone() {
    let tables = Tables::new().await;
    migrations::run(&tables.pg).await.unwrap();
    let change =
        "CREATE OR REPLACE FUNCTION queue.wake(key TEXT) RETURNS TEXT LANGUAGE sql AS $$ SELECT 'changed' $$";
    for (revision, is_made_anew) in [(-1, true), (0, true), (1, false)] {
        sqlx::raw_sql(change).execute(&tables.pg).await.unwrap();
        sqlx::query("UPDATE channel_functions SET revision = $1, hash = 'another'")
            .bind(migrations::REVISION + revision)
            .execute(&tables.pg)
            .await
            .unwrap();

        migrations::run(&tables.pg).await.unwrap();

        let said: Option<String> =
            sqlx::query_scalar("SELECT queue.wake('nobody')").fetch_one(&tables.pg).await.unwrap();
        assert_eq!(said.is_none(), is_made_anew, "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_of_a_later_build_does_not_keep_this_one_from_starting() {
    let tables = Tables::new().await;
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', TRUE, 'x', 0)",
    )
    .execute(&tables.pg)
    .await
    .unwrap();

    migrations::run(&tables.pg).await.unwrap();
}
