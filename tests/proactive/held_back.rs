//! A sender that Twilio refuses, and what an administrator does about it.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use super::{alice, notify, said};
use crate::support::{PERSON, TestApp};

/// The account is refused, and a probe will come only after an hour.
async fn held_back() -> TestApp {
    let app = TestApp::start_with(&[("CLOUDYBOT__BACKFILL__EVERY", "1s")]).await;
    alice(&app, "pro").await;
    refuse(&app);
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    is_held_back(&app).await;
    app
}

fn refuse(app: &TestApp) {
    let refused = Faults { refuse: 1.0, refuse_code: 20003, refuse_status: Some(401), ..Faults::default() };
    app.sandbox.set_faults(refused);
}

async fn is_held_back(app: &TestApp) {
    app.until("the sender is held back", async || {
        app.count("SELECT count(*) FROM queue.pauses").await == Some(2)
            && app
                .count("SELECT count(*) FROM queue.jobs WHERE kind = 'probe_sender' AND state = 'scheduled'")
                .await
                == Some(1)
    })
    .await;
}

/// Both pools go on, everything is sent, and nothing pauses them again.
async fn goes_on(app: &TestApp, messages: usize) {
    app.until("nothing is paused and no probe is left", async || {
        app.count("SELECT (SELECT count(*) FROM queue.pauses) + (SELECT count(*) FROM queue.jobs WHERE kind = 'probe_sender')").await
            == Some(0)
    })
    .await;
    app.until("all is sent", async || said(app).len() == messages).await;
    assert_eq!(app.count("SELECT count(*) FROM queue.pauses").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_resumed_by_hand_goes_on_and_the_sender_is_tried_at_once() {
    let app = held_back().await;
    notify(&app, json!({ "text": "One" })).await;
    let resume = json!({ "scope": "pool", "name": "replies" });

    let still_refused = app.admin(Method::POST, "/jobs/resume", resume.clone()).await;
    app.until("it was refused once more", async || {
        app.count("SELECT count(*) FROM channel_send_attempts WHERE outcome = 'not_sent'").await >= Some(2)
    })
    .await;
    is_held_back(&app).await;
    app.sandbox.set_faults(Faults::default());
    let mended = app.admin(Method::POST, "/jobs/resume", resume).await;

    assert_eq!(still_refused, (200, json!({ "changed": true, "probing": true })));
    assert_eq!(mended, still_refused);
    goes_on(&app, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_asked_for_comes_now() {
    let app = held_back().await;
    app.sandbox.set_faults(Faults::default());

    let (_, checked) = app.command(&["check"]).await;
    let (well, told) = app.command(&["jobs", "probe"]).await;

    assert!(well && told.contains("tried out now"), "{told}");
    assert!(checked.contains("NOW    sender") && checked.contains("`cloudybot jobs probe`"), "{checked}");
    goes_on(&app, 1).await;
    assert!(app.command(&["check"]).await.1.contains("ok     sender"));
    assert_eq!(app.admin(Method::POST, "/jobs/probe", Value::Null).await, (200, json!({ "probing": false })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broad_cancel_leaves_alone_what_others_rely_on() {
    let app = held_back().await;
    app.admin(Method::POST, "/jobs/pause", json!({ "scope": "kind", "name": "close_chunk" })).await;
    sqlx::raw_sql("INSERT INTO queue.jobs (kind, pool, state, max_attempts, payload) VALUES ('close_chunk', 'replies', 'waiting', 3, '{}')")
        .execute(&app.pg)
        .await
        .unwrap();

    for state in ["scheduled", "parked", "waiting"] {
        app.admin(Method::POST, "/jobs/cancel", json!({ "state": state })).await;
    }

    let left = "SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM queue.jobs WHERE kind IN ('close_chunk', 'probe_sender', 'send_chunk')";
    assert_eq!(app.text(left).await, "close_chunk probe_sender");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_gone_comes_back_by_itself_with_an_alert() {
    let app = held_back().await;
    app.sandbox.set_faults(Faults::default());

    app.admin(Method::POST, "/jobs/cancel", json!({ "kind": "probe_sender" })).await;

    goes_on(&app, 1).await;
    assert_eq!(
        app.count("SELECT count(*) FROM channel_alerts WHERE cause = 'pause_without_probe'").await,
        Some(1)
    );
}
