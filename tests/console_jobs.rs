//! Jobs on the administrators' pages, and the same at a terminal and over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::console::{Browser, DANA, MAX, dead_jobs, started};
use crate::support::TestApp;

/// Jobs of tomorrow about messages that there are not: they end well when they run.
async fn jobs_of_tomorrow(app: &TestApp, number: i32) -> Vec<i64> {
    sqlx::query_scalar(
        "INSERT INTO queue.jobs (run_at, max_attempts, state, kind, pool, payload)
         SELECT now() + interval '1 day', 5, 'scheduled', 'receive_message', 'inbound', jsonb_build_object('message', -n)
         FROM generate_series(1, $1) n RETURNING id",
    )
    .bind(number)
    .fetch_all(&app.pg)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_job_is_run_now_from_a_page_over_http_and_at_a_terminal() {
    let app = started().await;
    let ids = jobs_of_tomorrow(&app, 3).await;
    let browser = Browser::log_in(&app, DANA).await;
    let looks_on = Browser::log_in(&app, MAX).await;
    let path = |id: i64| format!("/admin/jobs/{id}/run-now");
    let over_http = |id: i64| format!("/admin/api/jobs/{id}/run-now");

    let page = browser.page(&format!("/admin/jobs/{}", ids[0])).await;
    assert!(page.contains(&path(ids[0])), "{page}");
    assert!(page.contains("<li aria-current=\"step\">scheduled <strong>now</strong></li>"), "{page}");
    let seen = looks_on.page(&format!("/admin/jobs/{}", ids[0])).await;
    assert!(!seen.contains("run-now") && seen.contains("aria-current=\"step\""), "{seen}");
    assert_eq!(looks_on.post(&path(ids[0]), &[]).await.status(), 403);
    assert_eq!(app.call(Method::POST, &over_http(ids[0]), MAX, Value::Null).await.1["code"], "view_only");
    let scheduled = "SELECT count(*) FROM queue.jobs WHERE kind = 'receive_message' AND state = 'scheduled'";
    assert_eq!(app.count(scheduled).await, Some(3));

    assert_eq!(browser.said(&path(ids[0]), &[]).await, format!("Job {} is due now.", ids[0]));
    let answer = app.call(Method::POST, &over_http(ids[1]), DANA, Value::Null).await;
    let (well, told) = app.command(&["jobs", "run-now", &ids[2].to_string()]).await;
    app.until("they are done", async || {
        app.count("SELECT count(*) FROM queue.finished WHERE kind = 'receive_message' AND NOT cancelled")
            .await
            == Some(3)
    })
    .await;
    assert_eq!((answer.0, &answer.1["id"]), (200, &json!(ids[1])), "{}", answer.1);
    assert!(answer.1["wasDueAt"].is_string(), "{}", answer.1);
    assert!(well && told.contains(&format!("job {} is due now; it was due at", ids[2])), "{told}");

    let refused = browser.post(&path(ids[0]), &[]).await;
    assert_eq!(refused.status(), 409);
    assert!(refused.text().await.unwrap().contains("does not wait for a time: it has ended"));
    let refused = app.call(Method::POST, &over_http(ids[1]), DANA, Value::Null).await;
    assert_eq!((refused.0, &refused.1["code"]), (409, &json!("not_scheduled")));
    let unknown = app.call(Method::POST, &over_http(987_654), DANA, Value::Null).await;
    assert_eq!(unknown.0, 404, "{}", unknown.1);
    let (well, told) = app.command(&["jobs", "run-now", &ids[2].to_string()]).await;
    assert!(!well && told.contains("it has ended"), "{told}");
    let done = "SELECT count(*) FROM queue.audit WHERE action = 'run now' AND outcome = 'due now' AND before LIKE 'scheduled for %' AND after = 'waiting'";
    assert_eq!(app.count(done).await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_many_jobs_is_told_in_counts() {
    let app = started().await;
    dead_jobs(&app, 60).await;
    let browser = Browser::log_in(&app, DANA).await;
    let form = [("action", "retry"), ("expected", "60"), ("state", "dead")];

    let said = browser.said("/admin/jobs/all/do", &form).await;

    assert_eq!(said.trim(), "close_slot: 60 retried, 0 refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_dead_job_is_of_the_list_in_which_the_one_before_was_found() {
    let app = started().await;
    dead_jobs(&app, 3).await;
    sqlx::query("UPDATE queue.dead SET reason = 'another cause' WHERE id = (SELECT min(id) FROM queue.dead)")
        .execute(&app.pg)
        .await
        .unwrap();
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM queue.dead ORDER BY id DESC").fetch_all(&app.pg).await.unwrap();
    let groups = "SELECT failure_group FROM queue.dead WHERE reason <> 'another cause' LIMIT 1";
    let group: String = sqlx::query_scalar(groups).fetch_one(&app.pg).await.unwrap();
    let browser = Browser::log_in(&app, DANA).await;
    let looks_on = Browser::log_in(&app, MAX).await;
    let path = |id: i64| format!("/admin/jobs/{id}/cancel-and-next?group={group}");
    let next = async |id: i64| {
        let answer = browser.post(&path(id), &[]).await;
        assert_eq!(answer.status(), 303);
        answer.headers()[reqwest::header::LOCATION].to_str().unwrap().to_owned()
    };

    let seen = looks_on.page(&format!("/admin/jobs/{}?group={group}", ids[0])).await;
    assert!(!seen.contains("and-next") && seen.contains("accesskey=\"n\""), "{seen}");
    assert_eq!(looks_on.post(&path(ids[0]), &[]).await.status(), 403);
    assert_eq!(looks_on.post(&path(ids[0]).replace("cancel", "retry"), &[]).await.status(), 403);
    assert_eq!(next(ids[0]).await, format!("/admin/jobs/{}?group={group}", ids[1]));
    assert_eq!(next(ids[1]).await, "/admin/groups", "the oldest has another cause");
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_a_text_in_their_payload_on_a_page_over_http_and_at_a_terminal() {
    let app = started().await;
    let ids = jobs_of_tomorrow(&app, 12).await;
    let (found, other) = (ids[11], ids[10]);
    let browser = Browser::log_in(&app, DANA).await;
    let has = |page: &str, id: i64| page.contains(&format!("<a href=\"/admin/jobs/{id}\">"));

    let page = browser.page("/admin/jobs?text=%22MESSAGE%22%3A+-12").await;
    let (_, list) = app.call(Method::GET, "/admin/api/jobs?contains=-12", DANA, Value::Null).await;
    let (_, told) = app.command(&["jobs", "list", "--contains", "message\": -12"]).await;

    assert!(has(&page, found) && !has(&page, other), "{page}");
    assert!(page.contains("in the payloads of the newest 100,000 jobs of the filter"), "{page}");
    assert_eq!(list["jobs"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["jobs"][0]["id"], found);
    assert!(told.contains(&found.to_string()) && !told.contains(&format!("\n{other} ")), "{told}");

    // What is done with all that match is done with these alone.
    let asked = browser.post("/admin/jobs/all/cancel?text=-12", &[]).await.text().await.unwrap();
    assert!(asked.contains("Cancel 1 job?") && asked.contains("name=\"text\" value=\"-12\""), "{asked}");
    let form = [("action", "cancel"), ("expected", "1"), ("text", "-12")];
    assert_eq!(browser.said("/admin/jobs/all/do", &form).await, "1 cancelled.");
    assert_eq!(browser.page(&format!("/admin/jobs/{found}")).await.matches("cancelled by dana").count(), 1);
    let body = json!({ "contains": "-11", "expected": 1 });
    let (status, cancelled) = app.call(Method::POST, "/admin/api/jobs/cancel", DANA, body).await;
    assert_eq!((status, &cancelled["outcomes"][0]["id"]), (200, &json!(other)), "{cancelled}");
}
