//! The end of the agent's browser session.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::gateway::{Gateway, Run};
use crate::support::{PERSON, TestApp};

const STOPPED_NOTHING: &str = "That stopped nothing. To end the browser session, write \"stop session\". To stop scheduled and proactive messages, send STOP to me on WhatsApp.";

/// What a gateway says of its browser.
fn browser(running: bool) -> (u16, Value) {
    (200, json!({ "ok": true, "result": { "running": running } }))
}

/// Alice writes in the dashboard.
async fn say(app: &TestApp, text: &str) {
    let (status, answer) = app.product(Method::POST, "/users/alice/messages", json!({ "text": text })).await;
    assert_eq!(status, 202, "{answer}");
}

async fn thread(app: &TestApp) -> Vec<String> {
    let (_, thread) = app.product(Method::GET, "/users/alice/messages", Value::Null).await;
    let entries = thread["messages"].as_array().unwrap();
    entries.iter().map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_phrase_ends_the_session_beside_the_turn_that_runs() {
    let gateway = Gateway::start(Duration::from_secs(2), [browser(true), browser(false)]).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url), ("OPENCLAW_TOKEN", "t")]).await;
    app.write(PERSON, "Look that up for me").await;
    app.until("the agent works", async || !gateway.asked("/v1/chat/completions").is_empty()).await;

    app.write(PERSON, "Stop browser!").await;
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON), ["Browser session ended.", "The agent's answer."]);
    let asked = gateway.asked("/tools/invoke");
    let session = gateway.chats()[0].session_key.clone().unwrap();
    let asked: Vec<_> =
        asked.iter().map(|asked| (&asked["tool"], &asked["action"], &asked["sessionKey"])).collect();
    let (browser, session) = (json!("browser"), json!(session));
    assert_eq!(asked, [(&browser, &json!("status"), &session), (&browser, &json!("stop"), &session)]);
    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await,
        "answered browser"
    );
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_hiccups_is_asked_again_and_one_without_a_browser_leads_to_an_apology() {
    let hiccup = (500, json!({ "error": { "message": "internal error" } }));
    let ended = (200, json!({ "ok": true, "result": { "running": false } }));
    let missing = (404, json!({ "error": { "message": "Tool not available: browser" } }));
    let gateway = Gateway::start(Duration::ZERO, [hiccup, ended, missing]).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url), ("OPENCLAW_TOKEN", "t")]).await;

    app.write(PERSON, "stop session").await;
    app.drained_well().await;
    app.write(PERSON, "stop session").await;
    app.drained().await;

    assert_eq!(
        app.said_to(PERSON),
        ["No browser session is running.", "Sorry, I couldn't finish that. Please try again."]
    );
    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await,
        "browser failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_phrase_in_the_dashboard_ends_the_session_and_is_answered_in_the_thread() {
    let told = Arc::new(Semaphore::new(0));
    let when_told = told.clone();
    let gateway = Gateway::with([browser(true), browser(false)], None, move |_, _| {
        Run::SayWhenTold("The agent's answer.", when_told.clone())
    })
    .await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url), ("OPENCLAW_TOKEN", "t")]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    say(&app, "Look that up for me").await;
    app.until("the agent works", async || !gateway.chats().is_empty()).await;

    say(&app, "Stop session.").await;
    app.until("the thread has an answer", async || thread(&app).await.len() == 3).await;
    told.add_permits(1);
    app.drained_well().await;

    assert_eq!(
        thread(&app).await,
        ["Look that up for me", "Stop session.", "Browser session ended.", "The agent's answer."]
    );
    let asked = gateway.asked("/tools/invoke");
    let session = gateway.chats()[0].session_key.clone().unwrap();
    let asked: Vec<_> = asked.iter().map(|asked| (&asked["action"], &asked["sessionKey"])).collect();
    let session = json!(session);
    assert_eq!(asked, [(&json!("status"), &session), (&json!("stop"), &session)]);
    assert_eq!(gateway.chats().len(), 1);
    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await,
        "answered browser"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_stop_in_the_dashboard_stops_nothing_and_says_what_does() {
    let told = Arc::new(Semaphore::new(0));
    let when_told = told.clone();
    let gateway = Gateway::with([browser(true)], None, move |_, _| {
        Run::SayWhenTold("The agent's answer.", when_told.clone())
    })
    .await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim("alice", PERSON).await;

    // "Cancel" may answer a question of the agent's.
    say(&app, "cancel").await;
    app.until("the agent works", async || !gateway.chats().is_empty()).await;
    say(&app, "Stop!").await;
    told.add_permits(1);
    app.drained_well().await;

    assert_eq!(thread(&app).await, ["cancel", "Stop!", STOPPED_NOTHING, "The agent's answer."]);
    let chats: Vec<String> = gateway.chats().into_iter().map(|chat| chat.text).collect();
    assert_eq!(chats, ["cancel"]);
    assert!(gateway.asked("/tools/invoke").is_empty());
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await, Some(0));
    let (_, turns) = app.admin(Method::GET, "/turns?user=alice", Value::Null).await;
    assert_eq!(
        (&turns["turns"][0]["agent"], &turns["turns"][0]["state"]),
        (&json!("channel"), &json!("replied"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shares_the_browser_with_others_is_told_so() {
    let stops = [true, false, true, false].map(browser);
    let gateway = Gateway::start(Duration::ZERO, stops).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;

    app.write(PERSON, "stop browser").await;
    app.drained_well().await;
    sqlx::raw_sql(
        "INSERT INTO channel_user_agents (user_id, base_url) VALUES ('alice', 'https://gateway.example')",
    )
    .execute(&app.pg)
    .await
    .unwrap();
    app.write(PERSON, "stop browser").await;
    app.drained_well().await;

    assert_eq!(
        app.said_to(PERSON),
        [
            "Browser session ended. This browser is shared: if others were using it, their session has ended, too.",
            "Browser session ended.",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_cannot_be_ended_from_the_dashboard_leads_to_one_apology_and_can_be_tried_again() {
    let missing = (404, json!({ "error": { "message": "Tool not available: browser" } }));
    let gateway = Gateway::start(Duration::ZERO, [missing, browser(false)]).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;

    say(&app, "browser stop").await;
    app.drained().await;
    let failed = (thread(&app).await, app.text("SELECT outcome FROM channel_messages").await);
    let (retried, told) = app.command(&["jobs", "retry", "--kind", "end_browser_session"]).await;
    app.drained_well().await;

    let apology = "Sorry, I couldn't finish that. Please try again.";
    assert_eq!(failed, (vec!["browser stop".to_owned(), apology.to_owned()], "failed".to_owned()));
    assert!(retried, "{told}");
    assert_eq!(thread(&app).await, ["browser stop", apology, "No browser session is running."]);
    assert_eq!(app.text("SELECT outcome FROM channel_messages").await, "browser");
}
