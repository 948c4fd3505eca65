//! A database for each test.

use private_postgres::schema::Schema;
use private_postgres::test_database::TestDatabase;
use sqlx::migrate::Migrator;
use sqlx::{Connection, Executor, PgPool};

use crate::support::{OtherProcess, connect};

static MIGRATOR: Migrator = sqlx::migrate!("tests/migrations");

pub(crate) static SCHEMA: Schema<'static> = Schema {
    migrations: &MIGRATOR,
    functions: "CREATE OR REPLACE FUNCTION number_of_things() RETURNS BIGINT LANGUAGE sql AS 'SELECT count(*) FROM things'",
};

#[tokio::test]
async fn tests_do_not_see_each_other_s_rows() {
    let databases = tokio::join!(TestDatabase::create(&SCHEMA), TestDatabase::create(&SCHEMA));
    let (mine, yours) = (databases.0.pool().await, databases.1.pool().await);

    mine.execute("INSERT INTO things VALUES ('mine')").await.unwrap();

    assert_eq!(count(&mine).await, 1);
    assert_eq!(count(&yours).await, 0);
}

#[tokio::test]
async fn an_empty_database_has_no_tables() {
    let database = TestDatabase::empty().await;

    let error = database.pool().await.execute("TABLE things").await.unwrap_err();

    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_database_lives_as_long_as_its_pool_and_is_dropped_after_it() {
    let pool = TestDatabase::create(&SCHEMA).await.pool().await;
    let name: String = sqlx::query_scalar("SELECT current_database()::TEXT").fetch_one(&pool).await.unwrap();

    let while_used = TestDatabase::empty().await;
    let existed = exists(&while_used, &name).await;
    pool.close().await;
    drop(pool);
    let after_use = TestDatabase::empty().await;

    assert!(existed);
    assert!(!exists(&after_use, &name).await);
}

#[tokio::test]
async fn a_killed_process_s_database_is_dropped_by_the_next_process() {
    let other = OtherProcess::with_database();
    let url = other.answer.clone();
    connect(&url).await.close().await.unwrap();
    other.kill();

    let next = OtherProcess::with_database();

    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let database = TestDatabase::empty().await;
    assert!(!exists(&database, &name).await);
    next.leave();
}

async fn exists(any: &TestDatabase, name: &str) -> bool {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)").bind(name);
    found.fetch_one(&any.pool().await).await.unwrap()
}

async fn count(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM things").fetch_one(pool).await.unwrap()
}
