//! Completions where the claim left the rows: what has moved meanwhile is found, and what has come there instead is left alone.

use std::time::Duration;

use sqlx::PgPool;

use crate::support::{Act, Bench, Deed};

/// Jobs of one claim on one page, first enqueued first.
async fn claim(bench: &Bench, jobs: i32) -> Vec<i64> {
    sqlx::raw_sql(
        "CREATE TABLE mine (id BIGINT, claim BIGINT, place TID);
         INSERT INTO queue.workers (name, lease_until) VALUES ('this', now() + interval '1 hour')",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    for _ in 0..jobs {
        add(bench).await;
    }
    let claimed = "INSERT INTO mine SELECT id, claim, place FROM queue.claim_jobs((SELECT max(id) FROM queue.workers), 'test', $1, 1) RETURNING id";
    let mut ids: Vec<i64> = sqlx::query_scalar(claimed).bind(jobs).fetch_all(&bench.pg).await.unwrap();
    ids.sort_unstable();
    ids
}

async fn add(bench: &Bench) {
    sqlx::query("INSERT INTO queue.jobs (max_attempts, state, kind, pool, payload) VALUES (3, 'waiting', 'act', 'test', '{}')")
        .execute(&bench.pg)
        .await
        .unwrap();
}

/// Somebody writes the row, which moves it.
async fn cancel(bench: &Bench, id: i64) {
    let outcome: String =
        sqlx::query_scalar("SELECT queue.cancel($1, 'test')").bind(id).fetch_one(&bench.pg).await.unwrap();
    assert_eq!(outcome, "asked to stop");
}

/// Frees the places of old versions.
async fn vacuum(bench: &Bench) {
    sqlx::query("VACUUM queue.jobs").execute(&bench.pg).await.unwrap();
}

async fn finish_at(pg: &PgPool, ids: &[i64]) -> sqlx::Result<()> {
    let finish = "SELECT queue.finish_at(array_agg(place ORDER BY id), array_agg(id ORDER BY id), array_agg(claim ORDER BY id), array_agg(DISTINCT claim))
                  FROM mine WHERE id = ANY ($1)";
    sqlx::query(finish).bind(ids).execute(pg).await.map(drop)
}

/// The live jobs and the finished ones.
async fn live_and_finished(bench: &Bench) -> (Vec<i64>, Vec<i64>) {
    let sql = "SELECT ARRAY(SELECT id FROM queue.jobs ORDER BY id), ARRAY(SELECT id FROM queue.finished ORDER BY id)";
    sqlx::query_as(sql).fetch_one(&bench.pg).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_end_where_their_claim_left_them_and_those_that_have_moved_end_too() {
    let bench = Bench::new().await;
    let ids = claim(&bench, 5).await;
    cancel(&bench, ids[1]).await;
    vacuum(&bench).await;

    finish_at(&bench.pg, &ids[..4]).await.unwrap();

    assert_eq!(live_and_finished(&bench).await, (ids[4..].to_vec(), ids[..4].to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_come_to_the_place_of_a_finished_one_goes_on() {
    let bench = Bench::new().await;
    let ids = claim(&bench, 2).await;
    let (done, running) = (ids[0], ids[1]);
    cancel(&bench, done).await;
    vacuum(&bench).await;
    // Two places are free: a new job takes the lower one, and the running one moves to the other.
    add(&bench).await;
    cancel(&bench, running).await;
    let moved_there = "SELECT j.ctid = m.place FROM queue.jobs j, mine m WHERE j.id = $1 AND m.id = $2";
    let moved_there: bool =
        sqlx::query_scalar(moved_there).bind(running).bind(done).fetch_one(&bench.pg).await.unwrap();
    assert!(moved_there, "this is what the test is about");

    let refused = finish_at(&bench.pg, &[done]).await.unwrap_err();

    let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("40001"));
    let (live, finished) = live_and_finished(&bench).await;
    assert_eq!((live.contains(&done), live.contains(&running), finished.len()), (true, true, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_claim_at_the_place_of_a_finished_one_goes_on() {
    let bench = Bench::new().await;
    let ids = claim(&bench, 1).await;
    sqlx::query("UPDATE queue.jobs SET claim = claim + 1").execute(&bench.pg).await.unwrap();
    sqlx::query("UPDATE mine SET place = (SELECT ctid FROM queue.jobs)").execute(&bench.pg).await.unwrap();

    finish_at(&bench.pg, &ids).await.unwrap();

    assert_eq!(live_and_finished(&bench).await, (ids, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_completion_is_refused_ends_its_jobs_by_their_numbers() {
    let bench = Bench::new().await;
    sqlx::raw_sql(
        "CREATE OR REPLACE FUNCTION queue.finish_at(places TID[], job_ids BIGINT[], claims BIGINT[], of_claims BIGINT[]) RETURNS VOID LANGUAGE plpgsql
         AS $$ BEGIN RAISE EXCEPTION 'another job lies where one of these was' USING ERRCODE = 'serialization_failure'; END $$",
    )
    .execute(&bench.pg)
    .await
    .unwrap();
    let workers = bench.work(4).await;
    for n in 0..20 {
        bench.queue.enqueue(&Act::new(format!("{n}"), Deed::Succeed)).await.unwrap();
    }

    bench.drained().await;

    assert_eq!(bench.count("SELECT count(*) FROM queue.finished").await, 20);
    assert_eq!(workers.stop(Duration::from_secs(5)).await.unwrap(), 0);
}
