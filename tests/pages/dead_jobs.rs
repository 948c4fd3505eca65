//! Dead jobs, as somebody mends them who has many.

use super::console::{log_in, says};
use crate::support::TestApp;
use crate::support::browser::{ALT, ENTER, TAB};

/// 990 dead jobs that end well if they are tried again, and ten for which that makes no sense any more.
async fn a_thousand_dead_jobs(app: &TestApp) {
    sqlx::raw_sql(
        r#"INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
           SELECT nextval('queue.job_ids'), now(), 3, 3, 0, 0, 'close_slot', 'upkeep', 'the database was away',
               jsonb_build_object('jobId', n, 'kind', 'run_duty', 'state', 'dead', 'reason', NULL, 'payload', '{"slot": -1}'::JSONB)
           FROM generate_series(1, 990) n
           UNION ALL SELECT nextval('queue.job_ids'), now(), 3, 3, 0, 0, 'receive_message', 'inbound', 'the database was away', '{"message": -1}'
           FROM generate_series(991, 1000) n"#,
    )
    .execute(&app.pg)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_dead_jobs_are_retried_at_once_and_what_came_of_them_is_told_in_counts() {
    let app = TestApp::start().await;
    a_thousand_dead_jobs(&app).await;
    let browser = log_in(&app, 1300).await;

    browser.press("form[action^='/admin/jobs/all/retry'] button").await;
    browser.until(&says("Retry 1000 jobs?")).await;
    browser.picture("console bulk question").await;
    browser.press("form[action='/admin/jobs/all/do'] button").await;
    browser.until("document.querySelector('.result') !== null").await;
    let said = browser.text(".result").await;
    browser.picture("console bulk result").await;

    let lines: Vec<&str> = said.trim().lines().collect();
    assert_eq!(lines[0], "close_slot: 990 retried, 0 refused", "{said}");
    assert!(lines[1].starts_with("receive_message: 0 retried, 10 refused (10 of them: "), "{said}");
    assert_eq!(lines.len(), 2, "{said}");
    let done = "SELECT count(*) FROM queue.finished WHERE kind = 'close_slot' AND NOT cancelled";
    app.until("the others are done", async || app.count(done).await == Some(990)).await;
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(10));
    assert_eq!(app.count("SELECT count(*) FROM queue.audit WHERE action = 'retry'").await, Some(1000));
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_mended_one_after_the_other_with_the_keyboard_alone() {
    let app = TestApp::start().await;
    a_thousand_dead_jobs(&app).await;
    let few = "DELETE FROM queue.dead WHERE kind <> 'close_slot' OR id NOT IN (SELECT id FROM queue.dead WHERE kind = 'close_slot' ORDER BY id DESC LIMIT 3)";
    sqlx::query(few).execute(&app.pg).await.unwrap();
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM queue.dead ORDER BY id DESC").fetch_all(&app.pg).await.unwrap();
    let browser = log_in(&app, 1300).await;
    let is_shown = |id: i64| format!("location.pathname === '/admin/jobs/{id}'");

    browser.open(&app.url("/admin/jobs?state=dead&kind=close_slot")).await;
    browser.press(&format!("a[href='/admin/jobs/{}?state=dead&kind=close_slot']", ids[0])).await;
    browser.until(&says("Alt+R retries this job and shows the next older dead one")).await;
    browser.picture("console dead job").await;
    browser.keys(&[ALT, 'r']).await;
    browser.until(&is_shown(ids[1])).await;
    assert_eq!(browser.text(".result").await, format!("Job {0}: retried, job {0}", ids[0]));
    browser.keys(&[ALT, 'n']).await;
    browser.until(&is_shown(ids[2])).await;
    browser.keys(&[ALT, 'c']).await;
    browser.until("document.querySelector('details[open] form[action*=cancel-and-next]') !== null").await;
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(2), "it is asked first");
    browser.keys(&[TAB]).await;
    browser.picture("console dead job question").await;
    browser.keys(&[ENTER]).await;
    browser.until("location.pathname === '/admin/groups'").await;

    let said = browser.text(".result").await;
    assert_eq!(said, format!("Job {}: put away.\nIt was the last one of the list.", ids[2]));
    let left: Vec<i64> = sqlx::query_scalar("SELECT id FROM queue.dead").fetch_all(&app.pg).await.unwrap();
    assert_eq!(left, [ids[1]]);
    assert_eq!(browser.errors().await, [""; 0]);
}
