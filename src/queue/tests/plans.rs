//! What the statements read, whatever the backlog: as much as they work on, never a table.

use std::time::Instant;

use sqlx::{Connection as _, PgConnection};

use crate::support::Bench;

/// A million finished jobs, 200,000 in the future, 50,000 parked of a paused kind and 200,000 of one that nobody knows, and 100,000 due, 10,000 of these in one lane; and 20,000 lanes in another pool.
const BACKLOG: &str = "
    INSERT INTO queue.finished (id, created_at, claimed_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, payload)
    SELECT -n, now(), now(), 1, n, 1, 0, FALSE, 'act', 'test', '{}' FROM generate_series(1, 1000000) n;
    INSERT INTO queue.jobs (run_at, max_attempts, state, kind, pool, payload)
    SELECT now() + interval '1 day', 5, 'scheduled', 'act', 'test', '{}' FROM generate_series(1, 200000);
    INSERT INTO queue.pauses (scope, name, paused_by) VALUES ('kind', 'paused', 'test');
    INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload)
    SELECT 5, 'parked', 'paused', 'test', '{}' FROM generate_series(1, 50000);
    INSERT INTO queue.unknown_kinds (kind) VALUES ('unknown');
    INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload)
    SELECT 5, 'parked', 'unknown', 'test', '{}' FROM generate_series(1, 200000);
    INSERT INTO queue.jobs (max_attempts, state, kind, pool, lane, payload)
    SELECT 5, (CASE WHEN n = 1 THEN 'waiting' ELSE 'held' END)::queue.state, 'act', 'test', 'the lane', '{}' FROM generate_series(1, 10000) n;
    INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload)
    SELECT 5, 'waiting', 'act', 'test', '{}' FROM generate_series(1, 90000);
    INSERT INTO queue.jobs (max_attempts, state, kind, pool, lane, payload)
    SELECT 5, 'waiting', 'act', 'elsewhere', format('lane %s', n), '{}' FROM generate_series(1, 20000) n;
    INSERT INTO queue.workers (name, lease_until, kinds) VALUES ('newer', now() + interval '1 hour', ARRAY['act', 'unknown']);
    INSERT INTO queue.workers (name, lease_until, kinds) VALUES ('this', now() + interval '1 hour', ARRAY['act']);
    CREATE TEMPORARY TABLE mine (id BIGINT, claim BIGINT, lane TEXT, place TID)";

/// Each statement with the rows that it may fetch at most.
const STATEMENTS: &[(&str, &str, i64)] = &[
    (
        "claim",
        "INSERT INTO mine SELECT id, claim, lane, place FROM queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', 500, 1)",
        1_500,
    ),
    (
        "claim past what runs",
        "INSERT INTO mine SELECT id, claim, lane, place FROM queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', 500, 1)",
        2_500,
    ),
    (
        "claim as one who knows what others do not",
        "SELECT count(*) FROM queue.claim_jobs((SELECT min(id) FROM queue.workers), 'test', 500, 1)",
        2_500,
    ),
    (
        "claim a suspect as one who knows what others do not",
        "SELECT count(*) FROM queue.claim_suspect((SELECT min(id) FROM queue.workers), 'test', 2::SMALLINT, 1)",
        50,
    ),
    (
        "look as one who knows what others do not",
        "SELECT count(*) FROM queue.tick((SELECT min(id) FROM queue.workers), ARRAY['test', 'other'], 3)",
        100,
    ),
    (
        "claim a suspect",
        "SELECT count(*) FROM queue.claim_suspect((SELECT max(id) FROM queue.workers), 'test', 2::SMALLINT, 1)",
        50,
    ),
    (
        "finish",
        "WITH j AS (DELETE FROM mine WHERE id IN (SELECT id FROM mine LIMIT 200) RETURNING id, claim) SELECT queue.finish(array_agg(j.id), array_agg(j.claim), FALSE) FROM j",
        4_000,
    ),
    (
        "finish patiently",
        "WITH j AS (DELETE FROM mine WHERE id IN (SELECT id FROM mine LIMIT 200) RETURNING id, claim) SELECT queue.finish(array_agg(j.id), array_agg(j.claim), TRUE) FROM j",
        4_000,
    ),
    (
        "finish what stands in no lane",
        "WITH j AS (DELETE FROM mine WHERE id IN (SELECT id FROM mine WHERE lane IS NULL LIMIT 200) RETURNING id, claim) SELECT queue.finish_free(array_agg(j.id), array_agg(j.claim)) FROM j",
        4_000,
    ),
    (
        "finish where the claim left them",
        "WITH j AS (DELETE FROM mine WHERE id IN (SELECT id FROM mine WHERE place IS NOT NULL AND lane IS NULL LIMIT 100) RETURNING *) SELECT queue.finish_at(array_agg(place ORDER BY id), array_agg(id ORDER BY id), array_agg(claim ORDER BY id), array_agg(DISTINCT claim)) FROM j",
        0,
    ),
    (
        "complete one inside a transaction",
        "WITH j AS (DELETE FROM mine WHERE id IN (SELECT id FROM mine LIMIT 10) RETURNING id, claim) SELECT queue.complete_one(j.id, j.claim) FROM j",
        20,
    ),
    (
        "settle",
        "WITH j AS (DELETE FROM mine WHERE id IN (SELECT id FROM mine LIMIT 10) RETURNING id, claim) SELECT queue.settle(j.id, j.claim, 'failed', 5, 'no') FROM j",
        200,
    ),
    (
        "bury",
        "WITH j AS (DELETE FROM mine WHERE id IN (SELECT id FROM mine LIMIT 10) RETURNING id, claim) SELECT queue.settle(j.id, j.claim, 'aborted', 5, 'no') FROM j",
        200,
    ),
    ("tick", "SELECT queue.tick((SELECT max(id) FROM queue.workers), ARRAY['test', 'other'], 3)", 400),
    ("rescue", "SELECT queue.rescue(3)", 50),
    ("look for lanes without a head", "SELECT queue.heal_lanes()", 50),
    (
        "enqueue",
        "SELECT queue.enqueue(ARRAY['act'], ARRAY['test'], ARRAY['{}'::JSONB], ARRAY[0::SMALLINT], ARRAY[NULL::TIMESTAMPTZ], ARRAY[NULL], ARRAY[NULL], ARRAY[3::SMALLINT], ARRAY[NULL])",
        10,
    ),
    (
        "enqueue into the lane, with a key",
        "SELECT queue.enqueue(ARRAY['act'], ARRAY['test'], ARRAY['{}'::JSONB], ARRAY[0::SMALLINT], ARRAY[NULL::TIMESTAMPTZ], ARRAY['the lane'], ARRAY['the key'], ARRAY[3::SMALLINT], ARRAY[NULL])",
        10,
    ),
    (
        "enqueue a batch behind the heads of many lanes",
        "SELECT queue.enqueue(array_agg('act'::TEXT), array_agg('elsewhere'::TEXT), array_agg('{}'::JSONB), array_agg(0::SMALLINT), array_agg(NULL::TIMESTAMPTZ), array_agg(format('lane %s', n % 200 + 1)), array_agg(NULL::TEXT), array_agg(3::SMALLINT), array_agg(NULL::TEXT)) FROM generate_series(1, 400) n",
        2_000,
    ),
    (
        "enqueue a duplicate",
        "SELECT queue.enqueue(ARRAY['act'], ARRAY['test'], ARRAY['{}'::JSONB], ARRAY[0::SMALLINT], ARRAY[NULL::TIMESTAMPTZ], ARRAY[NULL], ARRAY['the key'], ARRAY[3::SMALLINT], ARRAY[NULL])",
        10,
    ),
    ("wake", "SELECT queue.wake('the key')", 10),
    ("move the lane's head", "SELECT queue.move_head('the lane', 'act', now() + interval '1 hour')", 10),
    ("cancel", "SELECT queue.cancel((SELECT id FROM queue.jobs WHERE unique_key = 'the key'), 'test')", 100),
    (
        "advance the lane",
        "DELETE FROM queue.jobs WHERE lane = 'the lane' AND phase <> 'held'; SELECT queue.advance(ARRAY['no such lane', 'the lane'])",
        10,
    ),
    (
        "leave",
        "SELECT queue.leave((SELECT max(id) FROM queue.workers), (SELECT array_agg(id) FROM mine))",
        2_000,
    ),
    // All that is due, and nothing else: for a worker that was lost, or knows no more what it holds.
    ("look for what a worker holds", "SELECT queue.held_by(ARRAY[1])", 115_000),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_the_queue_reads_a_table_whatever_the_backlog() {
    let bench = Bench::new().await;
    let mut conn = PgConnection::connect(bench.database.url()).await.unwrap();
    sqlx::raw_sql(BACKLOG).execute(&mut conn).await.unwrap();

    // First as after a sudden load, with no statistics of it, then with.
    for analyzed in [false, true] {
        if analyzed {
            sqlx::raw_sql("ANALYZE queue.jobs; ANALYZE queue.finished").execute(&mut conn).await.unwrap();
        }
        let mut tx = conn.begin().await.unwrap();
        for (name, statement, most) in STATEMENTS {
            let (scanned, fetched) = read(&mut tx).await;
            let begun = Instant::now();
            sqlx::raw_sql(*statement).execute(&mut *tx).await.unwrap();
            let took = begun.elapsed();
            let (scanned_after, fetched_after) = read(&mut tx).await;

            println!("{name}: {} rows by index, {took:?}, analyzed: {analyzed}", fetched_after - fetched);
            assert_eq!(scanned_after - scanned, 0, "{name} reads a table, analyzed: {analyzed}");
            assert!(fetched_after - fetched <= *most, "{name} fetched {} rows", fetched_after - fetched);
        }
        tx.rollback().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_runs_and_does_not_know_is_found_without_reading_a_million_jobs_that_wait() {
    let bench = Bench::new().await;
    let mut conn = PgConnection::connect(bench.database.url()).await.unwrap();
    let waiting = "INSERT INTO queue.jobs (priority, max_attempts, state, kind, pool, payload)
        SELECT n % 2, 5, 'waiting', 'act', 'test', '{}' FROM generate_series(1, 1000000) n";
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload)
         SELECT 5, 'waiting', 'act', 'test', '{}' FROM generate_series(1, 120) n;
         INSERT INTO queue.workers (name, lease_until) VALUES ('this', now() + interval '1 hour');
         CREATE TABLE mine AS SELECT id, claim FROM queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', 100, 1)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    sqlx::raw_sql(waiting).execute(&mut conn).await.unwrap();
    sqlx::raw_sql("ANALYZE queue.jobs").execute(&mut conn).await.unwrap();

    let mut tx = conn.begin().await.unwrap();
    let (scanned, fetched) = read(&mut tx).await;
    let begun = Instant::now();
    let found: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM queue.unknown_claims((SELECT max(id) FROM queue.workers), ARRAY['test', 'other'], ARRAY[(SELECT max(id) FROM mine), 0],
             (SELECT array_agg(id) FROM mine WHERE id % 2 = 0), (SELECT array_agg(claim) FROM mine WHERE id % 2 = 0))",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    println!("what is unknown: {:?}", begun.elapsed());
    let (scanned_after, fetched_after) = read(&mut tx).await;

    assert_eq!(found, 50);
    assert_eq!(scanned_after - scanned, 0);
    assert!(fetched_after - fetched <= 500, "{} rows", fetched_after - fetched);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_leaves_each_row_on_its_page_and_every_index_as_it_is() {
    let bench = Bench::new().await;
    let mut conn = PgConnection::connect(bench.database.url()).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (max_attempts, state, kind, pool, lane, unique_key, payload)
         SELECT 5, 'waiting', 'act', 'test', format('lane %s', n), format('key %s', n), '{}' FROM generate_series(1, 400) n;
         INSERT INTO queue.workers (name, lease_until) VALUES ('this', now() + interval '1 hour')",
    )
    .execute(&mut conn)
    .await
    .unwrap();

    let mut tx = conn.begin().await.unwrap();
    sqlx::query("SELECT queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', 400, 1)")
        .execute(&mut *tx)
        .await
        .unwrap();

    let written: (i64, i64) = sqlx::query_as(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE schemaname = 'queue' AND relname = 'jobs'",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    assert_eq!(written, (400, 400));
}

/// What this transaction has read of jobs and history: rows by sequential scans, rows by indexes.
async fn read(conn: &mut PgConnection) -> (i64, i64) {
    sqlx::query_as(
        "SELECT coalesce(sum(seq_tup_read), 0)::BIGINT, coalesce(sum(idx_tup_fetch), 0)::BIGINT FROM pg_stat_xact_user_tables
         WHERE schemaname = 'queue' AND (relname = 'jobs' OR relname LIKE 'finished%')",
    )
    .fetch_one(conn)
    .await
    .unwrap()
}
