//! What is too old is taken away while the service goes on, and nothing is sent or taken in again by that.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::Value;

use crate::support::{ACCOUNT_SID, NUMBER, PERSON, TestApp};

const PATH: &str = "/webhooks/whatsapp";
const EVERY_SECOND: (&str, &str) = ("CLOUDYBOT__ALERTS__LOOK_EVERY", "1s");

/// Everything that was said becomes so old that it is kept no longer. A new day begins, too.
const AGE: [&str; 6] = [
    "UPDATE channel_messages SET received_at = received_at - interval '500 days', written_at = written_at - interval '500 days'",
    "UPDATE channel_turns SET started_at = started_at - interval '500 days', finished_at = finished_at - interval '500 days'",
    "UPDATE channel_deliveries SET created_at = created_at - interval '500 days', closed_at = closed_at - interval '500 days'",
    "UPDATE channel_status_callbacks SET received_at = received_at - interval '500 days'",
    "UPDATE channel_entries SET at = at - interval '500 days'",
    "UPDATE channel_retention SET walked_at = walked_at - interval '2 days'",
];

const LEFT: &str = "SELECT (SELECT count(*) FROM channel_messages WHERE body <> '' OR params <> '{}') + (SELECT count(*) FROM channel_turns WHERE reply <> '')
    + (SELECT count(*) FROM channel_deliveries WHERE text <> '') + (SELECT count(*) FROM channel_chunks WHERE body <> '') + (SELECT count(*) FROM channel_entries)
    + (SELECT count(*) FROM channel_status_callbacks)";

async fn age(app: &TestApp) {
    for statement in AGE {
        sqlx::query(statement).execute(&app.pg).await.unwrap();
    }
    app.until("what is old is gone", async || app.count(LEFT).await == Some(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_words_are_gone_is_not_answered_again_and_the_next_one_is() {
    let app = TestApp::start_with(&[EVERY_SECOND]).await;
    app.link(PERSON).await;
    let form = [
        ("MessageSid", "SM1"),
        ("From", PERSON),
        ("To", NUMBER),
        ("AccountSid", ACCOUNT_SID),
        ("Body", "Long ago"),
    ];
    let signature = app.sign(PATH, &form);
    app.post(PATH, &form, Some(&signature)).await;
    app.until("the reply is delivered", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'delivered'").await == Some(1)
    })
    .await;
    app.drained_well().await;

    age(&app).await;
    let again = app.post(PATH, &form, Some(&signature)).await;
    assert_eq!(again.status(), 200);
    app.drained_well().await;
    assert_eq!(app.said_to(PERSON).len(), 1);

    app.write(PERSON, "Today").await;
    app.replies(PERSON, 2).await;
    app.drained_well().await;
    let (status, story) = app.admin(Method::GET, "/messages/1/story", Value::Null).await;
    assert_eq!(status, 200, "{story}");
    let (status, storage) = app.admin(Method::GET, "/stats/storage", Value::Null).await;
    assert_eq!(status, 200, "{storage}");
    let messages =
        storage["tables"].as_array().unwrap().iter().find(|one| one["table"] == "channel_messages");
    let messages = messages.unwrap();
    assert_eq!(messages["kept"], "retention.texts = 400d, then without words");
    assert!(messages["since"].is_string() && messages["sizeBytes"].as_i64().unwrap() > 0, "{messages}");
    let (ended, shown) = app.command(&["stats", "storage"]).await;
    assert!(ended && shown.contains("retention.callbacks = 90d"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_words_are_gone_is_not_sent_anew() {
    let app = TestApp::start_with(&[EVERY_SECOND]).await;
    app.sandbox.set_faults(Faults { fail_later: 1.0, fail_later_code: 63024, ..Faults::default() });
    app.write(PERSON, "Hello").await;
    app.until("the reply has failed", async || {
        app.count("SELECT count(*) FROM channel_deliveries WHERE state = 'failed'").await == Some(1)
    })
    .await;
    app.sandbox.set_faults(Faults::default());
    app.drained_well().await;

    age(&app).await;
    let id = app.text("SELECT id::TEXT FROM channel_deliveries").await;
    let (status, answer) = app.admin(Method::POST, &format!("/deliveries/{id}/resend"), Value::Null).await;

    assert_eq!(status, 409, "{answer}");
    assert!(answer.to_string().contains("retention.texts"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_administrators_did_long_ago_goes_and_what_is_kept_how_long_is_told() {
    let app = TestApp::start_with(&[EVERY_SECOND]).await;
    for action in ["pause", "resume"] {
        assert!(app.command(&["jobs", action, "pool", "prompts"]).await.0);
    }
    let old = "UPDATE queue.audit SET at = at - interval '2000 days' WHERE action = 'pause'";
    sqlx::query(old).execute(&app.pg).await.unwrap();

    app.until("the older action is gone", async || {
        app.count("SELECT count(*) FROM queue.audit").await == Some(1)
    })
    .await;

    assert_eq!(app.text("SELECT action FROM queue.audit").await, "resume");
    let (_, storage) = app.admin(Method::GET, "/stats/storage", Value::Null).await;
    let kept = |table: &str| {
        let found = storage["tables"].as_array().unwrap().iter().find(|one| one["table"] == table);
        found.unwrap()["kept"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(kept("queue.audit"), "retention.audit = 1825d");
    assert_eq!(kept("whatsapp_send_ledger"), "retention.ledger = 400d, then its sums");
    assert_eq!(kept("channel_address_aliases"), "retention.strangers = 400d, of people who never had a user");
    assert_eq!(kept("channel_claim_tokens"), "retention.claim_tokens = 90d");
    assert_eq!(kept("channel_sent_days"), "retention.sent_days = 400d");
    assert_eq!(kept("channel_alerts"), "retention.alerts = 400d");
    assert_eq!(kept("channel_agent_outages"), "retention.texts = 400d");
    assert_eq!(kept("whatsapp_send_sums"), "");
}
