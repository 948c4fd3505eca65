//! The end of a browser session.

use agent::Agent;
use agent::browser::BrowserStop;
use agent::error::{AgentError, AgentErrorClass};
use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::gateway::{Gateway, refusal};

async fn stop(status: u16, answer: Value) -> (Gateway, Result<BrowserStop, AgentError>) {
    let status = StatusCode::from_u16(status).unwrap();
    let gateway = Gateway::answering(move || (status, Json(answer.clone())).into_response()).await;
    let result = gateway.agent().stop_browser_session("whatsapp-7", "message-12").await;
    (gateway, result)
}

#[tokio::test]
async fn the_browser_of_a_session_is_stopped() {
    let (gateway, result) = stop(200, json!({ "ok": true, "result": { "ok": true, "stopped": true } })).await;

    assert_eq!(result.unwrap(), BrowserStop::Ended);
    let asked = gateway.asked();
    assert_eq!(asked.line, "POST /tools/invoke");
    assert_eq!(asked.header("authorization"), Some("Bearer gateway-token"));
    let key = "message-12";
    let body = json!({ "tool": "browser", "action": "stop", "args": {}, "sessionKey": "whatsapp-7", "idempotencyKey": key });
    assert_eq!(asked.body, body);
}

#[tokio::test]
async fn a_browser_that_does_not_run_is_not_stopped() {
    let status = json!({ "ok": true, "result": { "details": { "enabled": true, "running": false } } });

    let (gateway, result) = stop(200, status).await;

    assert_eq!(result.unwrap(), BrowserStop::NotRunning);
    let body = json!({ "tool": "browser", "action": "status", "args": {}, "sessionKey": "whatsapp-7" });
    assert_eq!(gateway.asked().body, body);
}

#[tokio::test]
async fn a_browser_that_runs_after_its_stop_was_not_stopped() {
    let (_, result) = stop(200, json!({ "ok": true, "result": { "running": true } })).await;

    assert_eq!(result.unwrap_err().class(), AgentErrorClass::Transient);
}

#[tokio::test]
async fn a_browser_that_does_not_run_is_told_from_one_that_was_stopped() {
    let as_text = json!([{ "type": "text", "text": "{\"ok\":true,\"stopped\":false}" }]);
    let cases = [
        (200, json!({ "ok": true, "result": {} }), BrowserStop::Ended),
        (200, json!({ "ok": true, "result": { "stopped": false } }), BrowserStop::NotRunning),
        (200, json!({ "ok": true, "result": { "details": { "stopped": false } } }), BrowserStop::NotRunning),
        (200, json!({ "ok": true, "result": { "content": as_text } }), BrowserStop::NotRunning),
        (
            400,
            json!({ "ok": false, "error": { "message": "Browser is not running" } }),
            BrowserStop::NotRunning,
        ),
    ];
    for (status, answer, expected) in cases {
        let (_, result) = stop(status, answer.clone()).await;

        assert_eq!(result.unwrap(), expected, "{answer}");
    }
    assert_eq!(Agent::Echo.stop_browser_session("s", "k").await.unwrap(), BrowserStop::NotRunning);
}

#[tokio::test]
async fn a_browser_that_cannot_be_stopped_is_an_error() {
    let missing = Gateway::answering(|| refusal(404, "Tool not available: browser")).await;
    let missing = missing.agent().stop_browser_session("s", "k").await.unwrap_err();
    let (_, refused) = stop(400, json!({ "ok": false, "error": { "message": "bad key" } })).await;
    let (_, failed) = stop(200, json!({ "ok": false, "error": "boom" })).await;

    assert!(
        missing.class() == AgentErrorClass::Configuration && missing.to_string().contains("tool policy"),
        "{missing}"
    );
    assert_eq!(refused.unwrap_err().class(), AgentErrorClass::Permanent);
    assert_eq!(failed.unwrap_err().class(), AgentErrorClass::Transient);
}
