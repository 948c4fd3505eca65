//! Messages whose webhook never came are fetched from Twilio's list, in order, whatever else the list holds.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::support::{NUMBER, PERSON, TestApp};

/// The program, which searches Twilio's list at once and again and again.
async fn start() -> TestApp {
    let app =
        TestApp::start_with(&[("CLOUDYBOT__BACKFILL__EVERY", "1s"), ("CLOUDYBOT__BACKFILL__SETTLE", "0s")])
            .await;
    app.link(PERSON).await;
    app
}

async fn lose(app: &TestApp, body: &str) {
    app.inject(&[("From", PERSON), ("Body", body), ("deliver", "false")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_webhook_never_came_is_fetched_and_answered() {
    let app =
        TestApp::start_with(&[("CLOUDYBOT__BACKFILL__EVERY", "1s"), ("CLOUDYBOT__BACKFILL__SETTLE", "0s")])
            .await;
    app.link(PERSON).await;

    app.inject(&[("From", PERSON), ("Body", "Did you get this?"), ("deliver", "false")]).await;
    app.inject(&[("From", PERSON), ("Body", "STOP"), ("deliver", "false")]).await;
    app.replies(PERSON, 2).await;

    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE backfilled").await, Some(2));
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await, Some(1));
    let said = app.said_to(PERSON);
    assert!(said.iter().any(|said| said.contains("Did you get this?")), "{said:?}");
}

/// The list was searched a moment ago, and is searched again by whoever starts.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_while_no_process_ran_is_fetched_when_one_starts() {
    let mut app = TestApp::start_with(&[("CLOUDYBOT__BACKFILL__SETTLE", "0s")]).await;
    app.link(PERSON).await;
    app.until("the list was searched", async || {
        app.count("SELECT count(*) FROM queue.finished WHERE kind = 'upkeep'").await >= Some(1)
    })
    .await;

    app.kill();
    lose(&app, "Did you get this?").await;
    app.launch().await;
    app.replies(PERSON, 1).await;

    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE backfilled").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_second_are_taken_in_as_they_were_written() {
    let app = start().await;
    // All at once, or the first round would come in between.
    app.sandbox.set_faults(Faults { list_lag_ms: 3_600_000, ..Faults::default() });
    for number in 0..5 {
        lose(&app, &format!("Number {number}")).await;
    }
    app.sandbox.set_faults(Faults::default());

    app.until("all are taken in", async || {
        app.count("SELECT count(*) FROM channel_messages").await == Some(5)
    })
    .await;

    let bodies = app.text("SELECT string_agg(body, ', ' ORDER BY id) FROM channel_messages").await;
    assert_eq!(bodies, "Number 0, Number 1, Number 2, Number 3, Number 4");
    app.drained_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_used_is_kept_aside_and_the_others_are_taken_in() {
    let app = start().await;
    let entry = |number: usize, fields: Value| {
        let mut entry = json!({
            "sid": format!("SM{number:032x}"), "direction": "inbound", "status": "received", "from": PERSON, "to": NUMBER,
            "body": format!("Strange {number}"), "date_created": chrono::Utc::now().to_rfc2822(), "num_media": "0",
        });
        entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        entry
    };
    let strange = vec![
        entry(1, json!({ "num_media": "1" })),
        entry(2, json!({ "date_created": null })),
        entry(3, json!({ "from": null })),
        entry(4, json!({ "body": { "text": "hi" } })),
        json!({ "sid": null }),
        json!(null),
        // These can be used, odd as they are.
        entry(5, json!({ "status": null, "error_code": "0", "num_media": 0 })),
        entry(6, json!({ "body": "a\u{0}b" })),
        entry(7, json!({ "direction": null, "to": null })),
    ];
    app.sandbox.set_faults(Faults { list_entries: strange, ..Faults::default() });
    lose(&app, "Plain").await;

    app.until("what can be used is taken in", async || {
        app.count("SELECT count(*) FROM channel_messages").await == Some(4)
    })
    .await;
    app.until("the rest is told", async || {
        app.count("SELECT times::BIGINT FROM channel_alerts WHERE cause = 'unusable_entry'").await == Some(6)
    })
    .await;

    let (_, aside) = app.admin(Method::GET, "/unusable-entries", Value::Null).await;
    let mut sids: Vec<&str> =
        aside["entries"].as_array().unwrap().iter().filter_map(|entry| entry["sid"].as_str()).collect();
    sids.sort_unstable();
    assert_eq!(sids, (1..=4).map(|number| format!("SM{number:032x}")).collect::<Vec<_>>());
    assert_eq!(aside["entries"].as_array().unwrap().len(), 6);
    assert!(app.count("SELECT count(*) FROM channel_cursors WHERE name = 'backfill' AND moment > now() - interval '1 minute'").await == Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_files_cannot_be_listed_just_now_is_taken_in_later() {
    let app = start().await;
    app.sandbox.set_faults(Faults { media_list_error: 1.0, ..Faults::default() });
    let url = app.sandbox.add_media("image/png", b"not really".to_vec());
    app.inject(&[
        ("From", PERSON),
        ("NumMedia", "1"),
        ("MediaUrl0", &url),
        ("MediaContentType0", "image/png"),
        ("deliver", "false"),
    ])
    .await;
    lose(&app, "Plain").await;
    app.until("the plain one is taken in", async || {
        app.count("SELECT count(*) FROM channel_messages").await == Some(1)
    })
    .await;
    app.until("the other is kept aside", async || {
        app.count("SELECT count(*) FROM channel_unusable_entries WHERE taken_in_at IS NULL").await == Some(1)
    })
    .await;

    app.sandbox.set_faults(Faults::default());

    app.until("both are taken in", async || {
        app.count("SELECT count(*) FROM channel_messages").await == Some(2)
    })
    .await;
    assert_eq!(app.admin(Method::GET, "/unusable-entries", Value::Null).await.1, json!({ "entries": [] }));
}
