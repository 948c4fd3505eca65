//! The end of the agent's browser session.

use std::time::Duration;

use serde_json::json;

use crate::gateway::Gateway;
use crate::support::{PERSON, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_phrase_ends_the_session_beside_the_turn_that_runs() {
    let browser = |running: bool| (200, json!({ "ok": true, "result": { "running": running } }));
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
