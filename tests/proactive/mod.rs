//! What goes out of our own accord: chunked, metered, stoppable, and explained when it does not.

mod broadcasts;
mod doubts;
mod held_back;
mod races;
mod statuses;
mod templates;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::support::{API_TOKEN, PERSON, TestApp};

const USER: &str = "alice";
const FOOTER: &str = "Reply STOP to unsubscribe.";

/// A text of so many chunks.
pub(crate) fn text_of(chunks: usize) -> String {
    let paragraph = "All work and no play makes a dull day. ".repeat(38);
    (0..chunks).map(|number| format!("Part {number}. {paragraph}")).collect::<Vec<_>>().join("\n\n")
}

/// Alice on a plan, with the person's phone, who has just written.
async fn alice(app: &TestApp, plan: &str) {
    app.product(Method::PUT, "/users/alice", json!({ "plan": plan })).await;
    app.claim(USER, PERSON).await;
}

async fn notify(app: &TestApp, body: Value) -> Value {
    let (status, answer) = app.product(Method::POST, "/users/alice/notifications", body).await;
    assert_eq!(status, 202, "{answer}");
    answer["delivery"].clone()
}

async fn delivery(app: &TestApp, id: &Value) -> Value {
    app.product(Method::GET, &format!("/deliveries/{}", id.as_str().unwrap()), Value::Null).await.1
}

async fn sends(app: &TestApp) -> Value {
    app.product(Method::GET, "/users/alice/usage", Value::Null).await.1["whatsappSends"].clone()
}

/// What was said since the link was confirmed.
fn said(app: &TestApp) -> Vec<String> {
    app.said_to(PERSON).into_iter().skip(1).collect()
}

async fn ledger_is_right(app: &TestApp) {
    let drift = store::allowances::audit(&mut app.pg.acquire().await.unwrap(), i64::MAX).await.unwrap().drift;
    assert!(drift.is_empty(), "{drift:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_notification_leaves_in_metered_chunks_with_one_footer() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;

    let planned = notify(&app, json!({ "text": text_of(3) })).await;
    app.drained_well().await;

    assert_eq!((&planned["state"], &planned["reason"]), (&json!("open"), &Value::Null));
    let said = said(&app);
    assert!(said.len() >= 3, "{}", said.len());
    for (number, chunk) in said.iter().enumerate() {
        assert!(chunk.encode_utf16().count() <= 1550);
        assert_eq!(chunk.contains(FOOTER), number + 1 == said.len());
    }
    let shown = delivery(&app, &planned["id"]).await;
    let chunks = shown["chunks"].as_array().unwrap();
    assert!(chunks.iter().all(|chunk| chunk["meterProactive"] == true && chunk["sid"].is_string()));
    let footed: Vec<bool> = chunks.iter().map(|chunk| chunk["proactive"].as_bool().unwrap()).collect();
    assert!(footed[footed.len() - 1] && footed.iter().filter(|footed| **footed).count() == 1);
    assert_eq!(sends(&app).await["used"], chunks.len());
    assert_eq!(sends(&app).await["reserved"], 0);
    ledger_is_right(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_the_reason_and_twilio_is_not_called() {
    let app = TestApp::start_with(&[("CLOUDYBOT__PLANS__PRO__WHATSAPP_SENDS", "2")]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;

    let stranger = notify(&app, json!({ "text": "Hello" })).await;
    app.claim(USER, PERSON).await;
    let too_much = notify(&app, json!({ "text": text_of(3) })).await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
    let too_late = notify(&app, json!({ "text": "Hello" })).await;
    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    let unwanted = notify(&app, json!({ "text": "Hello" })).await;
    app.drained_well().await;

    let reasons = [stranger, too_much, too_late, unwanted].map(|planned| {
        assert_eq!(planned["state"], "blocked");
        planned["reason"].as_str().unwrap().to_owned()
    });
    assert_eq!(reasons, ["not_linked", "quota", "window", "opted_out"]);
    assert_eq!(said(&app).len(), 1, "the confirmation of STOP alone");
    assert_eq!(
        sends(&app).await,
        json!({ "used": 0, "reserved": 0, "credited": 0, "cap": 2, "remaining": 2 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_window_a_template_goes_out_and_counts_once() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
    let content_sid = format!("HX{}", "a".repeat(32));

    let template = json!({ "contentSid": content_sid, "variables": { "1": "Alice" } });
    let planned = notify(&app, json!({ "text": text_of(3), "template": template })).await;
    app.drained_well().await;

    let sent = app.sandbox.sent_to(PERSON);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].content_sid.as_deref(), Some(content_sid.as_str()));
    assert_eq!(sent[1].content_variables.as_deref(), Some(r#"{"1":"Alice"}"#));
    let shown = delivery(&app, &planned["id"]).await;
    assert_eq!(shown["chunks"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&shown["chunks"][0]["meterProactive"], &shown["chunks"][0]["proactive"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(sends(&app).await["used"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_may_wait_for_the_persons_next_message() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();

    let planned = notify(&app, json!({ "text": "While you were away", "waitForInbound": true })).await;
    app.drained_well().await;
    assert_eq!(planned["state"], "waiting");
    assert_eq!((said(&app).len(), &sends(&app).await["reserved"]), (0, &json!(0)));

    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.drained_well().await;

    assert_eq!(said(&app).iter().filter(|said| said.starts_with("While you were away")).count(), 1);
    assert_eq!(sends(&app).await["used"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_keeps_the_rest_back() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    let planned = notify(&app, json!({ "text": text_of(6) })).await;
    app.replies(PERSON, 3).await;

    assert_eq!(app.inject(&[("From", PERSON), ("Body", "STOP")]).await, Some(200));
    let begun: Vec<i64> = sqlx::query_scalar("SELECT chunk_id FROM channel_send_attempts ORDER BY 1")
        .fetch_all(&app.pg)
        .await
        .unwrap();
    app.drained_well().await;

    let after: Vec<i64> = sqlx::query_scalar("SELECT chunk_id FROM channel_send_attempts a JOIN channel_chunks c ON c.id = a.chunk_id WHERE c.meter_proactive ORDER BY 1")
        .fetch_all(&app.pg)
        .await
        .unwrap();
    assert!(
        after.iter().all(|chunk| begun.contains(chunk)),
        "{after:?} begun after STOP's 200; before: {begun:?}"
    );
    let shown = delivery(&app, &planned["id"]).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("cancelled"), &json!("opted_out")));
    let said = said(&app);
    assert_eq!(said.iter().filter(|said| said.starts_with("You're unsubscribed")).count(), 1);
    assert!(!said.iter().any(|said| said.contains(FOOTER)), "the last chunk stayed back");
    let usage = sends(&app).await;
    assert_eq!((&usage["reserved"], usage["used"].as_u64().unwrap() as usize), (&json!(0), after.len()));
    ledger_is_right(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_changes_hands_in_the_middle_gets_nothing_of_its_former_owners() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    let planned = notify(&app, json!({ "text": text_of(6) })).await;
    app.replies(PERSON, 2).await;

    let token = app.token("bob", json!({ "replace": true })).await;
    app.inject(&[("From", PERSON), ("Body", &token)]).await;
    app.until("the number is bob's", async || app.user("bob").await["whatsapp"]["address"] == PERSON).await;
    let at_the_move = said(&app).len();
    app.drained_well().await;

    let later = &said(&app)[at_the_move..];
    assert!(
        later.iter().filter(|said| said.starts_with("Part") || said.contains("dull day")).count() <= 1,
        "{later:?}"
    );
    assert_eq!(delivery(&app, &planned["id"]).await["state"], "cancelled");
    assert_eq!(sends(&app).await["reserved"], 0);
    ledger_is_right(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_time_is_not_sent() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    app.admin(Method::POST, "/jobs/pause", json!({ "scope": "pool", "name": "proactive" })).await;
    let soon = Utc::now() + TimeDelta::milliseconds(400);

    let planned = notify(&app, json!({ "text": "Too late", "expiresAt": soon })).await;
    app.until("its time is past", async || Utc::now() > soon).await;
    app.admin(Method::POST, "/jobs/resume", json!({ "scope": "pool", "name": "proactive" })).await;
    app.drained_well().await;

    assert_eq!(delivery(&app, &planned["id"]).await["state"], "expired");
    assert!(said(&app).is_empty());
    assert_eq!(sends(&app).await["reserved"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_delivery_is_not_sent() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    app.admin(Method::POST, "/jobs/pause", json!({ "scope": "pool", "name": "proactive" })).await;
    let planned = notify(&app, json!({ "text": text_of(2) })).await;

    let path = format!("/deliveries/{}/cancel", planned["id"].as_str().unwrap());
    let (status, cancelled) = app.product(Method::POST, &path, Value::Null).await;
    app.admin(Method::POST, "/jobs/resume", json!({ "scope": "pool", "name": "proactive" })).await;
    app.drained_well().await;

    assert_eq!((status, &cancelled["state"]), (200, &json!("cancelled")));
    assert!(said(&app).is_empty());
    assert_eq!(
        sends(&app).await,
        json!({ "used": 0, "reserved": 0, "credited": 0, "cap": 200, "remaining": 200 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_delivery_and_another_body_is_refused() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    let post = async |key: &str, text: &str| {
        let url = app.url("/v1/users/alice/notifications");
        let request = app.http.post(url).bearer_auth(API_TOKEN).header("Idempotency-Key", key);
        let answer = request.json(&json!({ "text": text })).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };

    let many = futures::future::join_all((0..8).map(|_| post("one", "Hello"))).await;
    let other_body = post("one", "Another").await;
    let other_key = post("two", "Hello").await;
    app.drained_well().await;

    let ids: Vec<&Value> = many.iter().map(|(_, answer)| &answer["delivery"]["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.is_string()), "{many:?}");
    assert_eq!(other_body.0, 422);
    assert_ne!(&other_key.1["delivery"]["id"], ids[0]);
    assert_eq!(said(&app).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sender_holds_everything_back_until_a_probe_gets_through() {
    let pager = Gateway::start(Duration::ZERO, [(503, json!({})), (200, json!({}))]).await;
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__TWILIO__PROBE_EVERY", "1s"),
        ("CLOUDYBOT__ALERTS__WEBHOOK_URL", &format!("{}/pager", pager.url)),
    ])
    .await;
    alice(&app, "pro").await;
    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 63112, ..Faults::default() });

    notify(&app, json!({ "text": "One" })).await;
    notify(&app, json!({ "text": "Two" })).await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.until("the sender is held back", async || {
        app.count("SELECT count(*) FROM queue.pauses WHERE scope = 'pool'").await == Some(2)
    })
    .await;
    app.until("it was tried out", async || {
        app.count("SELECT count(*) FROM queue.attempts a JOIN queue.jobs j ON j.id = a.job_id WHERE j.kind = 'probe_sender'").await >= Some(2)
    })
    .await;
    let tries = app.count("SELECT count(*) FROM channel_send_attempts").await;
    app.sandbox.set_faults(Faults::default());
    app.drained_well().await;

    assert!(tries < Some(12), "few requests while it was refused: {tries:?}");
    assert_eq!(said(&app).len(), 3);
    assert_eq!(app.count("SELECT count(*) FROM queue.pauses").await, Some(0));
    let told = pager.asked("/pager");
    let states: Vec<&Value> = told.iter().map(|post| &post["state"]).collect();
    assert_eq!(
        states,
        ["raised", "raised", "resolved"],
        "again since nobody took it at first, and that it is over"
    );
    assert!(told.iter().all(|post| post["cause"] == "sender_refused"), "{told:?}");
    let (_, alerts) = app.admin(Method::GET, "/alerts", Value::Null).await;
    assert_eq!(alerts["alerts"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whom_twilio_knows_as_opted_out_is_opted_out_here_too() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 21610, ..Faults::default() });

    let planned = notify(&app, json!({ "text": "Hello" })).await;
    app.drained().await;
    app.sandbox.set_faults(Faults::default());
    let next = notify(&app, json!({ "text": "Hello again" })).await;

    let shown = delivery(&app, &planned["id"]).await;
    assert_eq!((&shown["state"], &shown["chunks"][0]["errorCode"]), (&json!("failed"), &json!(21610)));
    assert_eq!((&next["state"], &next["reason"]), (&json!("blocked"), &json!("opted_out")));
    let user = app.user(USER).await;
    assert_eq!(user["consents"].as_array().unwrap().last().unwrap()["method"], "provider");
    assert_eq!(sends(&app).await["used"], 0);
}
