//! Who did what: a row for each deed of an operator, with how it stood before and after.

use reqwest::Method;
use serde_json::Value;

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_operator_changes_is_in_the_audit_with_how_it_stood_before() {
    let app = TestApp::start().await;
    sqlx::raw_sql(
        "INSERT INTO channel_users (id, plan) VALUES ('alice', 'free');
         INSERT INTO channel_alerts (cause, detail) VALUES ('unknown_send', 'some')",
    )
    .execute(&app.pg)
    .await
    .unwrap();
    let alert = app.count("SELECT max(id) FROM channel_alerts").await.unwrap();
    let (acknowledged, problem) =
        app.admin(Method::POST, &format!("/alerts/{alert}/acknowledge"), Value::Null).await;
    app.admin(Method::POST, "/jobs/probe", Value::Null).await;
    for command in [
        &["jobs", "pause", "pool", "proactive", "--reason", "a new text"][..],
        &["jobs", "resume", "pool", "proactive"],
        &["users", "set-plan", "alice", "pro"],
        &["users", "set-timezone", "alice", "Europe/Berlin"],
    ] {
        let (well, said) = app.command_with(&[("USER", "ada")], command).await;
        assert!(well, "{command:?}: {said}");
    }

    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' | ', actor, action, target, outcome, coalesce(before, '-'), coalesce(after, '-')) FROM queue.audit ORDER BY id",
    )
    .fetch_all(&app.pg)
    .await
    .unwrap();
    assert_eq!(acknowledged, 204, "{problem}");
    assert_eq!(
        rows,
        [
            &format!("administrator | acknowledge | alert {alert}: unknown_send | looked at | open | closed"),
            "administrator | probe | the sender | it is not held back | - | -",
            "ada | pause | pool proactive | paused | running | paused",
            "ada | resume | pool proactive | resumed | paused by ada: a new text | running",
            "ada | set plan | user alice | changed | free | pro",
            "ada | set timezone | user alice | changed | - | Europe/Berlin",
        ]
    );

    assert!(app.command(&["users", "erase", "alice", "--yes"]).await.0);
    assert_eq!(app.count("SELECT count(*) FROM queue.audit WHERE target LIKE '%alice%'").await, Some(0));
    assert_eq!(app.count("SELECT count(*) FROM queue.audit WHERE target = 'an erased user'").await, Some(3));
}
