//! What administrators see and mend over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

/// A job that nobody can read; it dies at once.
async fn dead_job(app: &TestApp) -> i64 {
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT queue.enqueue(ARRAY['close_slot'], ARRAY['upkeep'], ARRAY['{}'::JSONB], ARRAY[0::SMALLINT], ARRAY[NULL::TIMESTAMPTZ],
                              ARRAY[NULL], ARRAY[NULL], ARRAY[1::SMALLINT], ARRAY[NULL])",
    )
    .fetch_one(&app.pg)
    .await
    .unwrap();
    app.until("the job is dead", async || {
        app.count("SELECT count(*) FROM queue.dead").await.is_some_and(|dead| dead > 0)
    })
    .await;
    ids[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_administrators_token_opens_the_interface() {
    let app = TestApp::start().await;

    let without = app.http.get(app.url("/admin/api/jobs")).send().await.unwrap();
    let wrong = app.call(Method::GET, "/admin/api/jobs", "development-api-token", Value::Null).await;
    let nowhere = app.call(Method::GET, "/admin/api/nothing", "wrong", Value::Null).await;
    let right = app.admin(Method::GET, "/jobs?kind=answer", Value::Null).await;

    assert_eq!(without.status(), 401);
    assert_eq!(without.headers()["www-authenticate"], "Bearer");
    assert_eq!(without.headers()["content-type"], "application/problem+json");
    assert_eq!((wrong.0, nowhere.0), (401, 401));
    assert_eq!(right, (200, json!({ "jobs": [], "next": null })));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_wait_and_are_logged_once_while_the_right_one_is_answered() {
    let app = TestApp::start().await;
    let begun = std::time::Instant::now();

    let wrong = (0..8).map(|_| app.call(Method::GET, "/admin/api/jobs", "guessed", Value::Null));
    let wrong = async { (futures::future::join_all(wrong).await, begun.elapsed()) };
    let right = async { (app.admin(Method::GET, "/jobs", Value::Null).await, begun.elapsed()) };
    let ((wrong, wrong_took), (right, right_took)) = futures::future::join(wrong, right).await;

    assert!(wrong.iter().all(|(status, _)| *status == 401), "{wrong:?}");
    assert_eq!(right.0, 200);
    assert!(right_took < wrong_took && wrong_took.as_millis() >= 1900, "{right_took:?} {wrong_took:?}");
    let lines = app.logged().lines().filter(|line| line.contains("wrong bearer token")).count();
    assert_eq!(lines, 1, "{}", app.logged());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_pool_begins_nothing_until_it_is_resumed() {
    let app = TestApp::start().await;
    let pool = json!({ "scope": "pool", "name": "inbound" });

    let paused = app.admin(Method::POST, "/jobs/pause", pool.clone()).await;
    app.write(PERSON, "Hello").await;
    let (_, waiting) = app.admin(Method::GET, "/jobs?kind=receive_message", Value::Null).await;
    let (_, stats) = app.admin(Method::GET, "/jobs/stats", Value::Null).await;
    let again = app.admin(Method::POST, "/jobs/pause", pool.clone()).await;
    let resumed = app.admin(Method::POST, "/jobs/resume", pool).await;

    assert_eq!((paused, again), ((200, json!({ "changed": true })), (200, json!({ "changed": false }))));
    assert_eq!(waiting["jobs"][0]["state"], "waiting");
    assert_eq!(stats["counts"][0]["paused"], true);
    assert_eq!(resumed, (200, json!({ "changed": true, "probing": false })));
    app.replies(PERSON, 1).await;
    app.drained_well().await;
    assert_eq!(
        app.text("SELECT string_agg(action, ' ' ORDER BY id) FROM queue.audit").await,
        "pause pause resume"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_shows_its_story_and_can_be_tried_again_and_put_away() {
    let app = TestApp::start().await;
    let id = dead_job(&app).await;

    let (status, shown) = app.admin(Method::GET, &format!("/jobs/{id}"), Value::Null).await;
    let (_, retried) = app.admin(Method::POST, "/jobs/retry", json!({ "kind": "close_slot" })).await;
    app.until("it is dead again", async || app.count("SELECT count(*) FROM queue.dead").await == Some(1))
        .await;
    let (_, cancelled) = app.admin(Method::POST, &format!("/jobs/{id}/cancel"), Value::Null).await;
    let (_, gone) = app.admin(Method::POST, &format!("/jobs/{id}/retry"), Value::Null).await;

    assert_eq!((status, &shown["state"]), (200, &json!("dead")));
    assert!(
        shown["attempts"][0]["error"].as_str().is_some_and(|error| error.contains("undecodable")),
        "{shown}"
    );
    assert_eq!(retried["outcomes"][0]["outcome"], "retried", "{retried}");
    assert_eq!(
        retried["kinds"],
        json!([{ "kind": "close_slot", "retried": 1, "refused": 0, "reasons": [] }])
    );
    assert_eq!(cancelled["outcome"], "put away");
    assert_eq!((&gone["outcome"], &gone["detail"]), (&json!("refused"), &json!("it is not dead")));
    let audit =
        "SELECT string_agg(action || ' ' || target || ': ' || outcome, ', ' ORDER BY id) FROM queue.audit";
    assert_eq!(
        app.text(audit).await,
        format!(
            "retry job {id}: retried, cancel job {id}: put away, retry job {id}: refused: it is not dead"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_jobs_are_cancelled_as_were_confirmed_or_none() {
    let app = TestApp::start().await;
    app.admin(Method::POST, "/jobs/pause", json!({ "scope": "pool", "name": "inbound" })).await;
    for number in 0..3 {
        app.write(&format!("whatsapp:+1500555010{number}"), "Hello").await;
    }
    let cancel = async |more: Value| {
        let mut body = json!({ "kind": "receive_message" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app.admin(Method::POST, "/jobs/cancel", body).await
    };

    let (seen, dry) = cancel(json!({ "dryRun": true })).await;
    let (refused, problem) = cancel(json!({ "expected": 2 })).await;
    let live = app.count("SELECT count(*) FROM queue.jobs WHERE kind = 'receive_message'").await;
    let (status, cancelled) = cancel(json!({ "expected": 3 })).await;
    let (retried, none) =
        app.admin(Method::POST, "/jobs/retry", json!({ "state": "dead", "expected": 1 })).await;

    assert_eq!((seen, &dry["rest"], &dry["outcomes"]), (200, &json!(3), &json!([])), "{dry}");
    assert_eq!((refused, &problem["fitting"]), (409, &json!(3)), "{problem}");
    assert_eq!(live, Some(3));
    assert_eq!((status, &cancelled["rest"]), (200, &json!(0)), "{cancelled}");
    assert_eq!(cancelled["outcomes"].as_array().unwrap().len(), 3);
    assert_eq!((retried, &none["fitting"]), (409, &json!(0)), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_makes_no_sense_is_refused_by_the_name_of_what_is_wrong() {
    let app = TestApp::start().await;
    let id = dead_job(&app).await;
    let refused = [
        (Method::GET, "/jobs?state=lost", Value::Null, 422, "state"),
        (Method::GET, "/jobs?limit=0", Value::Null, 422, "limit"),
        (Method::GET, "/jobs?group=no%20such%20one", Value::Null, 422, "group"),
        (Method::POST, "/jobs/retry", json!({ "group": "no such one!" }), 422, "group"),
        (Method::GET, "/jobs?since=yesterday", Value::Null, 400, "since"),
        (Method::GET, "/jobs/one", Value::Null, 400, "one"),
        (Method::GET, "/jobs/9999999", Value::Null, 404, "9999999"),
        (Method::GET, "/nothing", Value::Null, 404, "no such path"),
        (Method::DELETE, "/jobs", Value::Null, 405, "openapi"),
        (Method::POST, "/jobs/cancel", json!({}), 422, "which jobs"),
        (Method::POST, "/jobs/cancel", json!({ "kin": "sing" }), 422, "kin"),
        (Method::POST, "/jobs/retry", json!({ "limit": 5 }), 422, "which jobs"),
        (Method::POST, "/jobs/retry", json!({ "kind": "sing", "limit": 0 }), 422, "limit"),
        (Method::POST, "/jobs/pause", json!({ "scope": "lane", "name": "x" }), 422, "scope"),
    ];

    for (method, path, body, status, names) in refused {
        let (found, problem) = app.admin(method.clone(), path, body).await;

        assert_eq!(found, status, "{method} {path}: {problem}");
        assert_eq!(problem["status"], status, "{method} {path}: {problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(names), "{method} {path}: {detail}");
    }
    assert_eq!(app.admin(Method::GET, &format!("/jobs/{id}"), Value::Null).await.1["state"], "dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_no_running_process_knows_are_told_of_after_five_minutes() {
    let app = TestApp::start_with(&[("CLOUDYBOT__BACKFILL__EVERY", "1s")]).await;
    sqlx::raw_sql("INSERT INTO queue.jobs (kind, pool, state, max_attempts, payload) VALUES ('sing', 'inbound', 'waiting', 3, '{}')")
        .execute(&app.pg)
        .await
        .unwrap();
    app.until("it is parked", async || {
        app.count("SELECT count(*) FROM queue.jobs j JOIN queue.unknown_kinds USING (kind) WHERE j.state = 'parked'").await == Some(1)
    })
    .await;
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;
    assert_eq!(app.count("SELECT count(*) FROM channel_alerts").await, Some(0));

    sqlx::raw_sql("UPDATE queue.unknown_kinds SET since = since - interval '5 minutes'")
        .execute(&app.pg)
        .await
        .unwrap();

    app.until("there is an alert", async || {
        app.count("SELECT count(*) FROM channel_alerts WHERE cause = 'unknown_kind' AND detail LIKE '%1 jobs of kind sing since%'").await == Some(1)
    })
    .await;
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_page_by_page() {
    let app = TestApp::start().await;
    app.admin(Method::POST, "/jobs/pause", json!({ "scope": "pool", "name": "inbound" })).await;
    for number in 0..5 {
        app.write(&format!("whatsapp:+1500555010{number}"), "Hello").await;
    }

    let mut seen = Vec::new();
    let mut page = "/jobs?pool=inbound&limit=2".to_owned();
    loop {
        let (_, list) = app.admin(Method::GET, &page, Value::Null).await;
        seen.extend(list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()));
        let Some(next) = list["next"].as_i64() else { break };
        page = format!("/jobs?pool=inbound&limit=2&before={next}");
    }

    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_describes_itself() {
    let app = TestApp::start().await;

    let description: Value =
        app.http.get(app.url("/openapi.json")).send().await.unwrap().json().await.unwrap();

    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    assert_eq!(description["paths"]["/admin/api/jobs/{id}"]["get"]["operationId"], "showJob");
    assert_eq!(description["components"]["securitySchemes"]["adminToken"]["scheme"], "bearer");
    let schema =
        |name: &str, field: &str| description["components"]["schemas"][name]["properties"][field].to_string();
    for name in ["UserRequest", "UserView"] {
        assert!(schema(name, "timezone").contains("\"string\""), "{}", schema(name, "timezone"));
        assert!(
            schema(name, "quietHours").contains("schemas/QuietHoursView"),
            "{}",
            schema(name, "quietHours")
        );
        let attributes = schema(name, "attributes");
        assert!(attributes.contains("\"additionalProperties\":{"), "{attributes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let app = TestApp::start().await;
    let id = dead_job(&app).await;

    let (_, retry) = app.command(&["jobs", "retry", "--kind", "close_slot", "--dry-run"]).await;
    let (_, cancel) = app.command(&["jobs", "cancel", "--state", "dead", "--dry-run"]).await;
    let (named, _) = app.command(&["jobs", "cancel", &id.to_string(), "--dry-run"]).await;

    assert!(retry.contains("1 job would be tried again; nothing was done"), "{retry}");
    assert!(cancel.contains("1 job would be cancelled; nothing was done"), "{cancel}");
    assert!(!named, "what is named by its number is not counted");
    assert_eq!(app.count("SELECT count(*) FROM queue.dead").await, Some(1));
    assert_eq!(app.count("SELECT count(*) FROM queue.audit").await, Some(0));
}
