//! Sessions that are not fit for use leave their pool.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::StreamExt as _;
use queue::Queue;
use queue::connections::{self, Connections};
use queue::session_health::Failures;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::Row as _;

use crate::support::{Act, Bench, Deed, settings};

/// A pool of these tests' own; its sessions carry this name.
async fn pool(bench: &Bench, name: &str, connections: u32) -> Connections {
    let options = bench.database.connect_options().clone().application_name(name);
    let pg = connections::options().max_connections(connections).connect_lazy_with(options);
    Connections::new(pg, Failures::default())
}

async fn notes(bench: &Bench) {
    sqlx::raw_sql("CREATE TABLE notes (number BIGINT PRIMARY KEY)").execute(&bench.pg).await.unwrap();
}

/// Sets something for every session from now on.
async fn alter_database(bench: &Bench, setting: &str) {
    let alter =
        format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$");
    let mut conn = bench.pg.acquire().await.unwrap();
    sqlx::raw_sql("SET default_transaction_read_only = off").execute(&mut *conn).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(alter)).execute(&mut *conn).await.unwrap();
}

/// Writes a row in a transaction.
async fn write(pool: &Connections, number: i64) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO notes VALUES ($1)").bind(number).execute(&mut *tx).await?;
    tx.commit().await
}

/// Writes a row by a statement alone.
async fn write_alone(pool: &Connections, number: i64) -> sqlx::Result<()> {
    let insert = sqlx::query("INSERT INTO notes VALUES ($1)").bind(number);
    insert.execute(&mut *pool.acquire().await?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_are_dropped_anywhere_leave_no_transaction_open_and_every_answered_write_is_there() {
    let bench = Bench::new().await;
    notes(&bench).await;
    let pool = pool(&bench, "dropped", 6).await;
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let plans: Vec<(i64, Duration)> =
        (0..6000).map(|number| (number, Duration::from_micros(rng.random_range(0..1500)))).collect();

    let answered = futures::stream::iter(plans)
        .map(async |(number, after)| {
            let write = async {
                if number % 3 == 0 { write_alone(&pool, number).await } else { write(&pool, number).await }
            };
            let patience = if number % 4 == 0 { Duration::from_secs(20) } else { after };
            match tokio::time::timeout(patience, write).await {
                Ok(written) => written.map(|()| number).ok(),
                Err(_) => None,
            }
        })
        .buffer_unordered(12)
        .filter_map(std::future::ready);
    let answered: Vec<i64> = answered.collect().await;

    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dropped' AND state <> 'idle'";
    bench.until("no session is in a transaction", || async { bench.count(open).await == 0 }).await;
    let lost: Vec<i64> = sqlx::query_scalar("SELECT unnest($1::BIGINT[]) EXCEPT SELECT number FROM notes")
        .bind(&answered)
        .fetch_all(&bench.pg)
        .await
        .unwrap();
    assert!(lost.is_empty(), "seed {seed}: {lost:?}");
    assert!(answered.len() > 1500, "seed {seed}: those that were not dropped were answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_dropped_while_it_begins_leaves_no_transaction_open() {
    let bench = Bench::new().await;
    let pool = pool(&bench, "begins", 1).await;
    drop(pool.acquire().await.unwrap());

    for polls in 1..20 {
        let mut beginning = Box::pin(pool.begin());
        for _ in 0..polls {
            let polled = beginning.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(begun) = polled {
                begun.unwrap().rollback().await.unwrap();
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(beginning);
        let own = sqlx::raw_sql("SELECT now() = statement_timestamp()");
        let own = own.fetch_one(&mut *pool.acquire().await.unwrap()).await.unwrap();
        assert!(own.get::<bool, _>(0), "after {polls} polls");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_read_only_leaves_the_pool_with_its_first_failure() {
    let bench = Bench::new().await;
    notes(&bench).await;
    let pool = pool(&bench, "read-only", 1).await;
    alter_database(&bench, "default_transaction_read_only = on").await;
    let refused = write(&pool, 1).await.unwrap_err();
    alter_database(&bench, "default_transaction_read_only = off").await;

    write(&pool, 2).await.unwrap();

    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "25006");
    assert_eq!(bench.count("SELECT sum(number)::BIGINT FROM notes").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_read_only_leaves_the_pool_also_where_nobody_saw_its_failure() {
    let bench = Bench::new().await;
    notes(&bench).await;
    let pool = pool(&bench, "unseen", 1).await;
    alter_database(&bench, "default_transaction_read_only = on").await;
    assert!(write_alone(&pool, 1).await.is_err());
    alter_database(&bench, "default_transaction_read_only = off").await;

    // Whoever uses a connection by itself tells nobody how it went; another one's failure makes everybody careful.
    assert!(write(&pool, 2).await.is_err());

    write_alone(&pool, 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_leaves_read_only_sessions_behind() {
    let bench = Bench::new().await;
    alter_database(&bench, "default_transaction_read_only = on").await;
    let queue = Queue::open(pool(&bench, "queue", 4).await, settings());
    let refused = queue.enqueue(&Act::new("one", Deed::Succeed)).await;
    alter_database(&bench, "default_transaction_read_only = off").await;

    let taken = queue.enqueue(&Act::new("two", Deed::Succeed)).await;

    assert!(refused.is_err());
    taken.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_does_not_answer_costs_its_place_in_the_pool_for_seconds_only() {
    let bench = Bench::new().await;
    notes(&bench).await;
    let pool = pool(&bench, "silent", 1).await;
    let mut holder = bench.pg.begin().await.unwrap();
    sqlx::query("LOCK TABLE notes").execute(&mut *holder).await.unwrap();
    let held_up = tokio::time::timeout(Duration::from_millis(100), write(&pool, 1)).await;

    let next = sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&mut *pool.acquire().await.unwrap()).await;

    assert!(held_up.is_err());
    assert_eq!(next.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_read_what_is_committed_whatever_the_database_is_set_to() {
    let bench = Bench::new().await;
    alter_database(&bench, "default_transaction_isolation = serializable").await;
    let pool = pool(&bench, "isolated", 1).await;
    let level = sqlx::query_scalar::<_, String>("SELECT current_setting('transaction_isolation')");

    let alone = level.fetch_one(&mut *pool.acquire().await.unwrap()).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let level = sqlx::query_scalar::<_, String>("SELECT current_setting('transaction_isolation')");
    let together = level.fetch_one(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();

    assert_eq!([alone, together], ["read committed", "read committed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_something_has_failed_a_write_on_trial_tells_whether_the_database_takes_writes() {
    let bench = Bench::new().await;
    notes(&bench).await;
    let pool = pool(&bench, "trials", 2).await;
    assert!(pool.can_write().await.unwrap());
    let full = "CREATE FUNCTION full_disk() RETURNS TRIGGER LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON queue.trials EXECUTE FUNCTION full_disk();
        CREATE TRIGGER full_disk BEFORE INSERT ON notes EXECUTE FUNCTION full_disk()";
    sqlx::raw_sql(full).execute(&bench.pg).await.unwrap();
    assert!(pool.can_write().await.unwrap(), "nobody has met it yet");
    assert!(write(&pool, 1).await.is_err());
    // Whoever was dropped is looked at on a task of its own.
    bench.until("it is known", || async { pool.can_write().await.is_err() }).await;
    sqlx::raw_sql("DROP TRIGGER full_disk ON queue.trials").execute(&bench.pg).await.unwrap();

    assert!(pool.can_write().await.unwrap());

    assert_eq!(bench.count("SELECT count(*) FROM queue.trials").await, 0);
}
