//! Schedules that somebody, or their failures, switched off: who or what, when and why.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

/// Writes the schedule `morning`, and waits until it is loaded.
async fn load(app: &TestApp, content: &str) {
    let schedule = format!("cron = \"0 0 1 1 *\"\n[audience]\neveryone = true\n[content]\n{content}\n");
    app.write_schedule("morning", &schedule);
    let loaded =
        "SELECT count(*) FROM channel_schedulers p JOIN channel_schedules s ON p.hashes ->> s.name = s.hash";
    app.until("it is loaded", async || app.count(loaded).await == Some(1)).await;
}

async fn switched_off(app: &TestApp) -> Value {
    let (status, listed) = app.admin(Method::GET, "/schedules", Value::Null).await;
    assert_eq!(status, 200, "{listed}");
    listed["schedules"][0]["switchedOff"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_sees_who_switched_a_schedule_off_when_and_why() {
    let app = TestApp::start().await;
    load(&app, "message = \"x\"").await;
    let off = ["schedules", "disable", "morning", "--reason", "the team is away"];

    let (well, disabled) = app.command_with(&[("USER", "ada")], &off).await;
    let (_, listed) = app.command(&["schedules", "list"]).await;
    let (_, status) = app.admin(Method::GET, "/status", Value::Null).await;
    let audit = app.text("SELECT concat(actor, ' ', action, ': ', outcome) FROM queue.audit").await;

    let why = "switched off by ada: the team is away";
    assert!(well && disabled.contains(why), "{disabled}");
    let just_now = "SELECT count(*) FROM channel_schedules WHERE off_since BETWEEN now() - interval '1 minute' AND now()";
    assert_eq!(app.count(just_now).await, Some(1));
    let since = switched_off(&app).await["since"].clone();
    let at: chrono::DateTime<chrono::Utc> = since.as_str().unwrap().parse().unwrap();
    assert!(listed.contains(&format!("{why}, since {}", at.format("%F %TZ"))), "{listed}");
    let findings = status["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["text"] == format!("morning is off: {why}"));
    assert_eq!(finding.map(|finding| &finding["since"]), Some(&since), "{status}");
    assert_eq!(audit, "ada disable: switched off: the team is away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_fails_ten_times_in_a_row_is_off_and_its_alert_is_open_until_it_is_on_again() {
    let often = ("CLOUDYBOT__BACKFILL__EVERY", "1s");
    let app = TestApp::start_with(&[("CLOUDYBOT__AGENT__ATTEMPTS", "1"), often]).await;
    app.link(PERSON).await;
    load(&app, "prompt = \"/fail\"").await;
    sqlx::raw_sql("UPDATE channel_schedules SET failed_in_row = 9").execute(&app.pg).await.unwrap();
    let open = "SELECT count(*) FROM channel_alerts WHERE cause = 'schedule_disabled' AND closed_at IS NULL";

    assert!(app.command(&["schedules", "fire", "morning"]).await.0);
    app.until("it is off", async || {
        app.count("SELECT count(*) FROM channel_schedules WHERE NOT enabled").await == Some(1)
    })
    .await;
    let off = switched_off(&app).await;
    let alerts = app.count(open).await;
    let (well, on) = app.command(&["schedules", "enable", "morning", "--json"]).await;

    assert_eq!((&off["cause"], &off["by"]), (&json!("failed_in_row"), &Value::Null), "{off}");
    let reason = off["reason"].as_str().unwrap();
    assert!(reason.starts_with("10 slots in a row failed, the last one because the agent failed"), "{off}");
    assert_eq!(alerts, Some(1));
    assert!(well, "{on}");
    app.until("the alert is over", async || app.count(open).await == Some(0)).await;
    assert_eq!(switched_off(&app).await, Value::Null);
}
