//! The product is told what becomes of deliveries and what users agree to, by signed posts, in order and at least once.

use std::collections::HashSet;

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::support::listener::{Listener, SECRET};
use crate::support::{PERSON, TestApp};

/// The program and the product that it tells.
async fn told(env: &[(&str, &str)]) -> (TestApp, Listener) {
    let listener = Listener::start().await;
    let hook = [
        ("CLOUDYBOT__CALLBACKS__URL", listener.url.as_str()),
        ("CLOUDYBOT__CALLBACKS__SECRET", SECRET),
        ("CLOUDYBOT__TWILIO__RECIPIENT_BURST", "100"),
    ];
    let env: Vec<_> = hook.iter().chain(env).copied().collect();
    (TestApp::start_with(&env).await, listener)
}

async fn notify(app: &TestApp, text: &str) -> Value {
    let path = "/users/alice/notifications";
    let (status, answer) = app.product(Method::POST, path, json!({ "text": text })).await;
    assert_eq!(status, 202, "{answer}");
    answer["delivery"]["id"].clone()
}

/// The states of a delivery in the order in which the product took them.
fn states(listener: &Listener, id: &Value) -> Vec<String> {
    let posts = listener.taken().into_iter().filter(|post| post["delivery"]["id"] == *id);
    posts.map(|post| post["state"].as_str().unwrap().to_owned()).collect()
}

async fn until_last(app: &TestApp, listener: &Listener, id: &Value, state: &str) {
    app.until(&format!("the last state is {state}"), async || {
        states(listener, id).last().is_some_and(|last| last == state)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_is_told_each_state_of_a_delivery_in_order() {
    let (app, listener) = told(&[]).await;
    app.claim("alice", PERSON).await;
    app.sandbox.set_faults(Faults { read: 1.0, ..Faults::default() });

    let id = notify(&app, &"Build 17 failed. ".repeat(150)).await;
    until_last(&app, &listener, &id, "read").await;
    app.drained_well().await;

    let told = states(&listener, &id);
    let in_order =
        ["sent", "delivered", "read"].into_iter().filter(|state| told.iter().any(|told| told == state));
    assert_eq!(told, in_order.collect::<Vec<_>>(), "each once, and none behind a later one");
    let last = listener.taken().into_iter().rfind(|post| post["delivery"]["id"] == id).unwrap();
    let (_, mut shown) =
        app.product(Method::GET, &format!("/deliveries/{}", id.as_str().unwrap()), Value::Null).await;
    shown["user"] = json!("alice");
    assert_eq!(last["delivery"], shown, "as GET shows it");
    assert_eq!(last["delivery"]["chunks"].as_array().unwrap().len(), 2);
    assert_eq!(last["type"], "delivery");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sent_is_told_with_its_reason() {
    let (app, listener) = told(&[]).await;
    app.claim("alice", PERSON).await;

    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() });
    let refused = notify(&app, "Refused").await;
    until_last(&app, &listener, &refused, "failed").await;
    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    let blocked = notify(&app, "Blocked").await;
    until_last(&app, &listener, &blocked, "blocked").await;

    let of = |id: &Value| listener.taken().into_iter().rfind(|post| post["delivery"]["id"] == *id).unwrap();
    assert_eq!(of(&refused)["delivery"]["chunks"][0]["errorCode"], 21211);
    assert_eq!(of(&blocked)["delivery"]["reason"], "opted_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_told_too_and_what_is_said_to_nobodys_phone_is_not() {
    let (app, listener) = told(&[]).await;
    app.claim("alice", PERSON).await;

    app.inject(&[("From", "whatsapp:+15005550199"), ("Body", "Hello")]).await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.until("the reply is told", async || {
        listener
            .taken()
            .iter()
            .any(|post| post["delivery"]["purpose"] == "reply" && post["state"] == "delivered")
    })
    .await;
    app.drained_well().await;

    let users: HashSet<String> = listener
        .taken()
        .iter()
        .filter(|post| post["type"] == "delivery")
        .map(|post| post["delivery"]["user"].to_string())
        .collect();
    assert_eq!(users, HashSet::from(["\"alice\"".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_is_told_of_claims_stop_start_and_unlinking() {
    let (app, listener) = told(&[]).await;
    app.claim("alice", PERSON).await;
    for word in ["STOP", "START"] {
        app.inject(&[("From", PERSON), ("Body", word)]).await;
        app.drained_well().await;
    }
    app.product(Method::DELETE, "/users/alice/whatsapp", Value::Null).await;
    app.drained_well().await;

    let consents: Vec<Value> =
        listener.taken().into_iter().filter(|post| post["type"] == "consent").collect();
    let told: Vec<_> = consents
        .iter()
        .map(|post| {
            (post["consent"]["action"].as_str().unwrap(), post["consent"]["method"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("granted", "claim_flow"),
            ("revoked", "inbound_stop"),
            ("granted", "inbound_start"),
            ("revoked", "admin")
        ]
    );
    let now: Vec<_> =
        consents.iter().map(|post| (&post["consent"]["optedOut"], &post["consent"]["linked"])).collect();
    assert_eq!(now[0], (&json!(false), &json!(true)));
    assert_eq!(now[1], (&json!(true), &json!(true)));
    assert_eq!(now[2], (&json!(false), &json!(true)));
    assert_eq!(now[3], (&json!(false), &json!(false)));
    assert!(consents.iter().all(|post| post["consent"]["user"] == "alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_away_is_told_afterwards_under_the_same_ids_and_in_order() {
    let (mut app, listener) = told(&[]).await;
    app.claim("alice", PERSON).await;
    app.drained_well().await;
    listener.answer(503);
    let id = notify(&app, "While it is away").await;
    let refused =
        async || listener.posts().iter().any(|post| !post.taken && post.body["delivery"]["id"] == id);
    app.until("the product refuses", refused).await;
    // What is in doubt when the process dies would be another story.
    app.until("the message is delivered", async || {
        app.count(
            "SELECT count(*) FROM channel_deliveries WHERE state = 'delivered' AND purpose = 'notification'",
        )
        .await
            == Some(1)
    })
    .await;

    app.kill();
    app.launch().await;
    listener.answer(200);
    until_last(&app, &listener, &id, "delivered").await;
    app.drained_well().await;

    let of_delivery: Vec<_> =
        listener.posts().into_iter().filter(|post| post.body["delivery"]["id"] == id).collect();
    let first = &of_delivery[0];
    assert!(!first.taken);
    assert!(of_delivery.iter().any(|post| post.taken && post.id == first.id), "the same id once more");
    let sequence: Vec<_> = listener
        .taken()
        .iter()
        .filter(|post| post["delivery"]["id"] == id)
        .map(|post| post["sequence"].as_i64().unwrap())
        .collect();
    assert!(sequence.is_sorted() && !sequence.is_empty(), "{sequence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_takes_nothing_is_an_alert_and_holds_up_nothing_else() {
    let (app, listener) = told(&[]).await;
    app.claim("alice", PERSON).await;
    listener.answer(500);

    notify(&app, "One").await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.until("both went out", async || app.said_to(PERSON).len() >= 3).await;

    let alert = "SELECT count(*) FROM channel_alerts WHERE cause = 'callbacks_failing' AND detail LIKE '%answered 500%'";
    app.until("there is an alert", async || app.count(alert).await == Some(1)).await;

    listener.answer(200);
    let over =
        "SELECT count(*) FROM channel_alerts WHERE cause = 'callbacks_failing' AND closed_at IS NOT NULL";
    notify(&app, "Two").await;
    app.until("the alert is over", async || app.count(over).await == Some(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_url_nothing_is_enqueued_also_after_there_was_one() {
    let (mut app, listener) = told(&[]).await;
    app.claim("alice", PERSON).await;
    app.drained_well().await;
    app.terminate().await;
    let so_far = listener.posts().len();

    app.launch_with(&[("CLOUDYBOT__CALLBACKS__URL", "")]).await;
    let jobs = "SELECT (SELECT count(*) FROM queue.finished WHERE kind = 'post_callback')
        + (SELECT count(*) FROM queue.jobs WHERE kind = 'post_callback')";
    let enqueued = app.count(jobs).await;
    notify(&app, "Nobody is told").await;
    app.drained_well().await;

    assert_eq!(app.count(jobs).await, enqueued);
    assert_eq!(listener.posts().len(), so_far);
}
