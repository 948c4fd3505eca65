//! What was sent, counted by what it costs.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::proactive::text_of;
use crate::support::{PERSON, TestApp};

async fn notify(app: &TestApp, body: Value) {
    let (status, answer) = app.product(Method::POST, "/users/alice/notifications", body).await;
    assert_eq!(status, 202, "{answer}");
    app.drained_well().await;
}

async fn stats(app: &TestApp) -> Value {
    app.admin(Method::GET, "/stats/messages?months=1", Value::Null).await.1
}

/// The counts that are not 0.
fn counts(messages: &Value) -> String {
    let counted = messages.as_object().unwrap().iter().filter(|(_, number)| **number != json!(0));
    counted.map(|(kind, number)| format!("{kind} {number}")).collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_counts_once_for_its_user_and_for_its_month() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.inject(&[("From", "whatsapp:+15005550199"), ("Body", "Who are you?")]).await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.drained_well().await;
    notify(&app, json!({ "text": text_of(2) })).await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
    let template = json!({ "contentSid": format!("HX{}", "a".repeat(32)) });
    notify(&app, json!({ "text": "Hello", "template": template })).await;

    let (_, usage) = app.product(Method::GET, "/users/alice/usage", Value::Null).await;
    let stats = stats(&app).await;

    assert_eq!(counts(&usage["messages"]), "metered 2, notices 1, otherTemplates 1, replies 1");
    assert_eq!(usage["whatsappSends"]["used"], 3, "{usage}");
    let month = &stats["months"][0];
    assert_eq!(counts(&month["messages"]), "metered 2, notices 2, otherTemplates 1, replies 1");
    assert_eq!((&month["total"], &month["notMetered"]), (&json!(6), &json!(3)), "{stats}");
    assert_eq!(stats["monthlyCap"], Value::Null);
    let (_, shown) = app.command(&["stats", "messages"]).await;
    let row = shown.lines().nth(1).unwrap();
    assert_eq!(
        row.split_whitespace().skip(1).collect::<Vec<_>>(),
        ["6", "1", "2", "2", "0", "0", "0", "1", "3"],
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_was_lost_counts_once_when_it_is_proven() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.sandbox.set_faults(Faults { drop_after: 1.0, callback_lost: 0.5, ..Faults::default() });

    for number in 0..6 {
        app.inject(&[("From", PERSON), ("Body", &format!("Hello {number}"))]).await;
    }
    app.until("Twilio has a reply", async || app.said_to(PERSON).len() > 1).await;
    app.sandbox.set_faults(Faults::default());
    app.drained_well().await;

    let month = &stats(&app).await["months"][0];
    let sent = i64::try_from(app.said_to(PERSON).len()).unwrap();
    assert_eq!(month["total"], sent, "{month}");
    assert_eq!(
        app.count("SELECT (SELECT sum(number) FROM channel_sent_days)::BIGINT - (SELECT count(sid) FROM channel_chunks)").await,
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_told_at_four_fifths_and_at_its_end_once_and_holds_nothing_back() {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__COSTS__MONTHLY_CAP", "5"),
        ("CLOUDYBOT__BACKFILL__EVERY", "200ms"),
        ("CLOUDYBOT__AGENT__TELL_AFTER", "0s"),
    ])
    .await;
    let told = async || {
        app.text(
            "SELECT coalesce(string_agg(cause || ' ' || times, ', ' ORDER BY id), '') FROM channel_alerts",
        )
        .await
    };

    for number in 1..=4 {
        app.write(PERSON, "Hello").await;
        app.replies(PERSON, number).await;
    }
    app.until("four fifths are told", async || told().await == "monthly_cap_near 1").await;
    for number in 5..=7 {
        app.write(PERSON, "Hello").await;
        app.replies(PERSON, number).await;
    }
    app.until("the end is told", async || told().await == "monthly_cap_near 1, monthly_cap_reached 1").await;
    let rounds = "SELECT count(*) FROM queue.finished WHERE kind = 'upkeep'";
    let seen = app.count(rounds).await.unwrap();
    app.until("two rounds have passed", async || app.count(rounds).await.unwrap() > seen + 2).await;

    assert_eq!(told().await, "monthly_cap_near 1, monthly_cap_reached 1", "each is told once");
    assert_eq!(app.said_to(PERSON).len(), 7, "nothing is held back");
}
