//! In which countries the assistant talks to people, and what a deployment is told that has not decided.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ACCOUNT_SID, AUTH_TOKEN, NUMBER, PERSON, TestApp, processes};

const BRAZILIAN: &str = "whatsapp:+551132654321";
const HIDDEN_BRAZILIAN: &str = "whatsapp:BR.abc0123456789";

/// A general-purpose assistant that may talk to people in Brazil.
const BRAZIL_ALONE: [(&str, &str); 2] = [
    ("CLOUDYBOT__COMPLIANCE__AI_PROVIDER", "listed_countries"),
    ("CLOUDYBOT__COMPLIANCE__COUNTRIES", "[\"BR\"]"),
];

/// What production wants, on top of what a test sets.
pub(crate) fn production(private_listen: &str) -> Vec<(&str, &str)> {
    vec![
        ("CLOUDYBOT_ENV", "production"),
        ("CLOUDYBOT__SERVER__PRIVATE_LISTEN", private_listen),
        ("CLOUDYBOT_SECRET_KEY", "a long one for all the hashes, of the hashes"),
        ("CLOUDYBOT_API_TOKEN", "a long one for the product"),
        ("CLOUDYBOT_ADMIN_TOKEN", "a long one for administrators"),
        ("OPENCLAW_BASE_URL", "http://127.0.0.1:9"),
        ("TWILIO_ACCOUNT_SID", ACCOUNT_SID),
        ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
        ("TWILIO_WHATSAPP_NUMBER", NUMBER),
        ("TWILIO_WEBHOOK_PUBLIC_URL", "https://bot.example.com"),
    ]
}

async fn notify(app: &TestApp, user: &str) -> Value {
    let path = format!("/users/{}/notifications", user.replace('+', "%2B"));
    app.product(Method::POST, &path, json!({ "text": "Your server is down." })).await.1["delivery"].clone()
}

async fn outcomes(app: &TestApp) -> String {
    app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_from_elsewhere_is_refused_in_the_usual_words_and_the_user_is_told_why() {
    let app = TestApp::start_with(&BRAZIL_ALONE).await;

    app.claim("alice", PERSON).await;
    let refused = app.user("alice").await;
    app.claim("alice", BRAZILIAN).await;
    app.claim("bob", HIDDEN_BRAZILIAN).await;

    assert_eq!((&refused["whatsapp"], &refused["claim"]["state"]), (&Value::Null, &json!("country")));
    assert!(refused["claim"]["remedy"].as_str().unwrap().contains("country"), "{refused}");
    assert!(app.said_to(PERSON)[0].starts_with("That code isn't valid"), "{:?}", app.said_to(PERSON));
    assert_eq!(app.user("alice").await["whatsapp"]["address"], BRAZILIAN);
    assert_eq!(app.user("bob").await["whatsapp"]["address"], HIDDEN_BRAZILIAN);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_from_elsewhere_gets_one_hint_and_no_answer_and_stop_still_works() {
    let app = TestApp::start_with(&BRAZIL_ALONE).await;

    for body in ["Hello", "Hello?", "STOP"] {
        app.write(PERSON, body).await;
        app.drained_well().await;
    }
    app.inject(&[("From", "whatsapp:+15005550199"), ("Body", "Who is there?")]).await;
    app.write(BRAZILIAN, "Olá").await;
    app.drained_well().await;

    assert_eq!(outcomes(&app).await, "country country keyword country answered");
    let said = app.said_to(PERSON);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("in your country") && said[1].starts_with("You're unsubscribed"), "{said:?}");
    assert_eq!(app.said_to("whatsapp:+15005550199"), said[..1], "no hint how to link");
    assert_eq!(app.said_to(BRAZILIAN).len(), 1);
    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_turned_on_blocks_what_is_planned_and_what_is_to_be_planned() {
    let mut app = TestApp::start().await;
    for pool in ["replies", "proactive"] {
        app.admin(Method::POST, "/jobs/pause", json!({ "scope": "pool", "name": pool })).await;
    }
    for person in [PERSON, BRAZILIAN] {
        app.write(person, "Hello").await;
        notify(&app, person).await;
    }
    app.until("replies are planned", async || {
        app.count("SELECT count(*) FROM channel_deliveries WHERE purpose = 'reply'").await == Some(2)
    })
    .await;

    app.terminate().await;
    app.launch_with(&BRAZIL_ALONE).await;
    for pool in ["replies", "proactive"] {
        app.admin(Method::POST, "/jobs/resume", json!({ "scope": "pool", "name": pool })).await;
    }
    let another = notify(&app, PERSON).await;
    app.drained_well().await;

    assert_eq!((&another["state"], &another["reason"]), (&json!("blocked"), &json!("country")));
    assert_eq!(
        app.text("SELECT string_agg(DISTINCT concat_ws(' ', purpose, state, reason), ', ') FROM channel_deliveries WHERE state = 'blocked'")
            .await,
        "notification blocked country, reply blocked country"
    );
    assert_eq!((app.said_to(PERSON).len(), app.said_to(BRAZILIAN).len()), (0, 2), "Twilio was not called");
    assert_eq!(
        app.count("SELECT reserved::BIGINT FROM whatsapp_sends WHERE user_id LIKE '%1500%'").await,
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn production_is_warned_while_nobody_has_said_what_the_assistant_is_and_starts() {
    let mut app = TestApp::start().await;
    let private = processes::free_address().to_string();
    let mut env = production(&private);
    let base_url = app.sandbox.base_url();
    env.push(("TWILIO_API_BASE_URL", &base_url));

    app.launch_another_with(&env).await;
    let (_, unset) = app.command_with(&env, &["check"]).await;
    env.extend([
        ("CLOUDYBOT__COMPLIANCE__AI_PROVIDER", "own_customers"),
        ("CLOUDYBOT__HUMAN__TEXT", "Write to"),
    ]);
    let (_, decided) = app.command_with(&env, &["check"]).await;

    let warned = |said: &str| said.contains("compliance.ai_provider is \"unset\"");
    let no_way = |said: &str| said.contains("human.text is empty");
    assert!(warned(&app.logged()), "{}", app.logged());
    assert!(unset.lines().any(|line| line.starts_with("note") && warned(line)), "{unset}");
    assert!(no_way(&app.logged()) && no_way(&unset), "{unset}");
    assert!(!warned(&decided) && !no_way(&decided), "{decided}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_a_person_is_told_where_and_the_operator_is_told_who() {
    let stranger = "whatsapp:+15005550199";
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__HUMAN__TEXT", "You reach us here:"),
        ("CLOUDYBOT__HUMAN__CONTACT", "help@example.com"),
    ])
    .await;

    for body in ["Hello", "*Human!*", "human", "a human was here"] {
        app.write(PERSON, body).await;
        app.drained_well().await;
    }
    app.inject(&[("From", stranger), ("Body", "operator")]).await;
    app.drained_well().await;

    assert_eq!(outcomes(&app).await, "answered human human answered human");
    let answer = "You reach us here:\nhelp@example.com";
    assert_eq!(
        app.said_to(PERSON).iter().filter(|said| *said == answer).count(),
        1,
        "{:?}",
        app.said_to(PERSON)
    );
    assert_eq!(app.said_to(stranger), [answer]);
    let (_, alerts) = app.admin(Method::GET, "/alerts", Value::Null).await;
    let alert = &alerts["alerts"][0];
    assert_eq!((&alert["cause"], &alert["times"]), (&json!("human_wanted"), &json!(3)), "{alerts}");
    let detail = alert["detail"].as_str().unwrap();
    assert!(detail.contains("0199, no user") && !detail.contains("5005550"), "{detail}");
    let (_, found) = app.admin(Method::GET, "/messages?state=human", Value::Null).await;
    assert_eq!(found["messages"].as_array().unwrap().len(), 3, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_to_a_person_the_words_are_for_the_agent() {
    let app = TestApp::start().await;

    app.write(PERSON, "human").await;
    app.drained_well().await;

    assert_eq!(outcomes(&app).await, "answered");
    assert_eq!(app.count("SELECT count(*) FROM channel_alerts").await, Some(0));
}
