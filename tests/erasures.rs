//! A person is erased while something is under way for that person.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ACCOUNT_SID, PERSON, TestApp};

/// People of a round, all of whom are erased at once.
const PEOPLE: usize = 8;

/// Everything that may be under way for somebody, from the claim to the erasure.
async fn come_and_go(app: &TestApp, round: usize, number: usize) -> Vec<u16> {
    let user = format!("user-{round}-{number}");
    let [phone, second] = [1, 2].map(|nth| format!("whatsapp:+1500{nth}{round:03}{number:03}"));
    let token = app.token(&user, Value::Null).await;
    app.inject(&[("From", &phone), ("Body", &token)]).await;
    app.drained().await;
    let path = format!("/users/{user}");
    let notify = async |text: String| {
        app.product(Method::POST, &format!("{path}/notifications"), json!({ "text": text })).await.0
    };
    let claim = async || {
        let replace = json!({ "replace": true });
        let (_, claim) = app.product(Method::POST, &format!("{path}/whatsapp/claims"), replace).await;
        if let Some(token) = claim["token"].as_str() {
            app.inject(&[("From", &second), ("Body", token)]).await;
        }
    };
    let erase = async |after_ms: u64| {
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        app.product(Method::DELETE, &path, Value::Null).await.0
    };
    let say = async |body: &str| app.inject(&[("From", &phone), ("Body", body)]).await;
    let unlink = async || app.product(Method::DELETE, &format!("{path}/whatsapp"), Value::Null).await.0;
    let delay = rand::random_range(0..60);
    let (_, _, _, first, again, notified, unlinked) = tokio::join!(
        say("How are you?"),
        say("And now?"),
        async { tokio::join!(claim(), claim()) },
        erase(delay),
        erase(delay + 5),
        notify("A long story. ".repeat(300)),
        unlink(),
    );
    vec![first, again, notified, unlinked]
}

/// What the program has logged as an error.
fn troubles(app: &TestApp) -> String {
    let is_told = |line: &&str| line.contains("ERROR");
    app.logged().lines().filter(is_told).map(|line| format!("\n{line}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_under_way_an_erasure_and_what_it_meets_wait_for_each_other_in_one_order() {
    let env = [
        ("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "1ms"),
        // Each request meets the others in the database, and none waits for a connection.
        ("CLOUDYBOT__DATABASE__API_CONNECTIONS", "48"),
    ];
    let app = TestApp::start_with(&env).await;

    for round in 0..6 {
        let people = (0..PEOPLE).map(|number| come_and_go(&app, round, number));
        let answers = futures::future::join_all(people).await;
        assert!(answers.iter().flatten().all(|status| *status < 500), "{answers:?} {}", troubles(&app));
    }
    app.drained_well().await;

    for trouble in ["deadlock detected", "violates", "could not serialize"] {
        assert!(!app.logged().contains(trouble), "{}", troubles(&app));
    }
    let found = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(app.count(found).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_comes_after_the_erasure_leaves_no_number() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.drained_well().await;
    app.until("all callbacks have come", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state <> 'delivered'").await == Some(0)
    })
    .await;
    let sid = app.text("SELECT sid FROM channel_chunks WHERE id = 1").await;
    assert_eq!(app.product(Method::DELETE, "/users/alice", Value::Null).await.0, 204);

    let path = "/webhooks/whatsapp/status?chunk=1&attempt=1";
    let form = [
        ("AccountSid", ACCOUNT_SID),
        ("ChannelToAddress", "+1500555XXXX"),
        ("MessageSid", &sid),
        ("MessageStatus", "read"),
        ("SomethingNew", "1 500 555 0100"),
        ("To", PERSON),
    ];
    let answer = app.post(path, &form, Some(&app.sign(path, &form))).await;

    assert_eq!(answer.status(), 204);
    let kept = app
        .text("SELECT string_agg(params::TEXT, '') FROM channel_status_callbacks WHERE status = 'read'")
        .await;
    assert!(!kept.contains("500555") && !kept.contains("500 555"), "{kept}");
    assert!(kept.contains(&sid), "{kept}");
}
