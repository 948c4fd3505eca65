//! Jobs that gave up or fail, by what went wrong.

use queue::failure_groups;
use queue::inspection::{JobAction, JobCriteria};
use queue::job::NewJob;
use sqlx::{Connection as _, PgConnection};

use crate::support::{Act, Bench, Deed};

/// Errors, and what is left of each.
const SHAPES: &[(&str, &str)] = &[
    ("connection reset", "connection reset"),
    ("Twilio says 63016: outside of the window", "Twilio says #: outside of the window"),
    ("refused with HTTP 400, code 21617: too long 7", "refused with HTTP 400, code 21617: too long #"),
    ("it took 12.5 s, not 10", "it took # s, not #"),
    ("no chunk 12 of 40, none at 2026-11-29T15:00:00Z", "no chunk # of #, none at #T#Z"),
    ("GET https://api.example.com/v1/a?b=1 failed", "GET <url> failed"),
    ("cannot reach (https://api.example.com:8443/v1), gave up", "cannot reach (<url>), gave up"),
    ("the user \"ada\" is not known", "the user <text> is not known"),
    ("column `name` and 'other' differ", "column <text> and <text> differ"),
    ("it doesn't know the user's name", "it doesn't know the user's name"),
    ("delivery 0190b3a4-1c2d-7e3f-8a4b-5c6d7e8f9a0b is gone", "delivery <id> is gone"),
    ("message SM0123456789abcdef0123456789abcdef is gone", "message <id> is gone"),
    ("hash 9f86d081884c7d65 differs", "hash <id> differs"),
    ("send_chunk has no receive_message", "send_chunk has no receive_message"),
    ("two\n  lines\tof it", "two lines of it"),
    ("", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_differ_in_numbers_ids_addresses_and_quotes_have_one_shape() {
    let bench = Bench::new().await;

    for (error, shape) in SHAPES {
        let found: String = sqlx::query_scalar("SELECT queue.error_shape($1)")
            .bind(error)
            .fetch_one(&bench.pg)
            .await
            .unwrap();

        assert_eq!(found, *shape, "{error}");
        let again: String = sqlx::query_scalar("SELECT queue.error_shape($1)")
            .bind(&found)
            .fetch_one(&bench.pg)
            .await
            .unwrap();
        assert_eq!(again, *shape, "a shape is its own: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_counted_and_tried_again_by_group() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
         SELECT n, now(), 3, 3, 0, 0, 'act', 'test', format('no chunk %s', n), '{}' FROM generate_series(1, 7) n;
         INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
         VALUES (8, now(), 3, 3, 0, 0, 'act', 'test', 'another cause', '{}'), (9, now(), 3, 3, 0, 0, 'sing', 'test', 'no chunk 9', '{}');
         SELECT setval('queue.job_ids', 100)",
    )
    .execute(&bench.pg)
    .await
    .unwrap();

    let groups = failure_groups::of_dead(&mut bench.pg.acquire().await.unwrap()).await.unwrap();
    let filter = JobCriteria { group: Some(groups[0].group.clone()), ..JobCriteria::default() };
    let listed = bench.queue.list(&filter, 100).await.unwrap().jobs;
    let tried = bench.act_on_fitting(JobAction::Retry, filter, "test").await;

    let told: Vec<_> = groups
        .iter()
        .map(|group| (group.kind.as_str(), group.shape.as_str(), group.jobs.to_string()))
        .collect();
    assert_eq!(told.len(), 3);
    assert_eq!(told[0], ("act", "no chunk #", "7".to_owned()));
    assert!(told.contains(&("sing", "no chunk #", "1".to_owned())), "{told:?}");
    assert_eq!(groups[0].example.0, 7, "the newest");
    assert_eq!((listed.len(), tried.len()), (7, 7));
    assert_eq!(bench.count("SELECT count(*) FROM queue.dead").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_fail_and_are_tried_again_are_grouped_while_they_live() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (run_at, attempt, max_attempts, state, kind, pool, payload)
         SELECT now() + interval '1 hour', 1, 5, 'scheduled', 'act', 'test', '{}' FROM generate_series(1, 3);
         INSERT INTO queue.attempts (job_id, attempt, outcome, error) SELECT id, 1, 'failed', format('busy for %s s', id) FROM queue.jobs",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    bench.enqueue_batch(std::iter::once(NewJob::of(&Act::new("well", Deed::Succeed)))).await;

    let groups = failure_groups::of_live(&mut bench.pg.acquire().await.unwrap()).await.unwrap();

    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].shape.as_str(), groups[0].jobs.to_string().as_str()), ("busy for # s", "3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_hundred_thousand_dead_jobs_are_told_without_reading_them() {
    let bench = Bench::new().await;
    let mut conn = PgConnection::connect(bench.database.url()).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
         SELECT -n, now(), 5, 5, 0, 0, 'act', 'test', format('no %s', chr(65 + n % 4)), '{}' FROM generate_series(1, 100000) n",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE queue.dead").execute(&mut conn).await.unwrap();

    let mut tx = conn.begin().await.unwrap();
    let groups = failure_groups::of_dead(&mut tx).await.unwrap();
    let (scanned, fetched): (i64, i64) = sqlx::query_as(
        "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = 'queue' AND relname = 'dead'",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();

    assert_eq!(
        groups.iter().map(|group| group.jobs.to_string()).collect::<Vec<_>>(),
        ["more than 10,000"; 4]
    );
    assert!(scanned == 0 && fetched < 50_000, "{scanned} {fetched}");
}
