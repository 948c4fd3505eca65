//! Answers that are errors, and those that are none of ours.

use std::time::Duration;

use agent::Agent;
use agent::client::GatewayClient;
use agent::error::{AgentError, AgentErrorClass, Trouble};
use agent::target::Endpoint;
use axum::response::{IntoResponse, Redirect};
use serde_json::json;

use crate::gateway::{Gateway, TOKEN, completion, refusal, text, turn};

#[tokio::test]
async fn every_status_has_its_class_and_configuration_errors_name_the_remedy() {
    let cases = [
        (400, AgentErrorClass::Permanent, ""),
        (401, AgentErrorClass::Configuration, "OPENCLAW_TOKEN"),
        (403, AgentErrorClass::Configuration, "operator access"),
        (404, AgentErrorClass::Configuration, "gateway.http.endpoints.chatCompletions.enabled"),
        (405, AgentErrorClass::Configuration, "gateway.http.endpoints.chatCompletions.enabled"),
        (408, AgentErrorClass::Transient, ""),
        (413, AgentErrorClass::Permanent, ""),
        (429, AgentErrorClass::Unavailable, ""),
        (500, AgentErrorClass::Transient, "internal error"),
        (502, AgentErrorClass::Unavailable, ""),
        (503, AgentErrorClass::Unavailable, ""),
    ];
    for (status, class, remedy) in cases {
        let gateway = Gateway::answering(move || refusal(status, "internal error")).await;

        let error = gateway.ask("hi").await.unwrap_err();

        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(remedy), "{error}");
    }
}

#[tokio::test]
async fn a_busy_gateway_says_when_to_come_back() {
    let gateway =
        Gateway::answering(|| ([("retry-after", "17")], refusal(429, "slow down")).into_response()).await;

    let error = gateway.ask("hi").await.unwrap_err();

    let AgentError::Unavailable { trouble, retry_after, reason } = error else { panic!("{error}") };
    assert_eq!((trouble, retry_after), (Trouble::Busy, Some(Duration::from_secs(17))));
    assert!(reason.contains("slow down"), "{reason}");
}

#[tokio::test]
async fn an_error_never_shows_the_token_that_it_quotes() {
    let gateway = Gateway::answering(|| refusal(401, &format!("bad token {TOKEN}"))).await;

    let error = gateway.ask("hi").await.unwrap_err();

    assert!(error.to_string().contains("bad token ***"), "{error}");
}

#[tokio::test]
async fn a_gateway_that_is_away_is_asked_again() {
    let gateway = Gateway::answering(|| completion("Hello.")).await;
    let endpoint = Endpoint::new("http://127.0.0.1:1", &TOKEN.into()).unwrap();
    let agent = Agent::OpenClaw(GatewayClient::new(endpoint, Duration::from_secs(1)).unwrap());

    let error = agent.send_to_openclaw(&turn("hi")).await.unwrap_err();

    assert!(
        error.class() == AgentErrorClass::Unavailable
            && error.to_string().contains("cannot reach http://127.0.0.1:1"),
        "{error}"
    );
    assert_eq!(text(gateway.ask("hi").await), "Hello.");
}

#[tokio::test]
async fn an_empty_or_failed_run_is_no_reply_in_a_whole_answer_either() {
    let empty = Gateway::answering(|| completion("No response from OpenClaw.")).await;
    let failed = Gateway::answering(|| completion("Error: internal error")).await;
    let nothing = Gateway::answering(|| axum::Json(json!({ "choices": [] })).into_response()).await;
    let in_band =
        Gateway::answering(|| axum::Json(json!({ "error": { "message": "boom" } })).into_response()).await;

    assert!(matches!(empty.ask("hi").await, Err(AgentError::Empty(_))));
    assert!(matches!(failed.ask("hi").await, Err(AgentError::Transient(_))));
    assert!(matches!(nothing.ask("hi").await, Err(AgentError::Empty(_))));
    assert!(matches!(in_band.ask("hi").await, Err(AgentError::Transient(text)) if text.contains("boom")));
}

#[tokio::test]
async fn what_is_no_completion_is_no_reply() {
    let page = Gateway::answering(|| axum::response::Html("<h1>Control</h1>").into_response()).await;
    let nonsense =
        Gateway::answering(|| ([("content-type", "application/json")], "{\"choi").into_response()).await;
    let elsewhere = Gateway::answering(|| Redirect::permanent("https://a.example/").into_response()).await;

    for (gateway, class) in [
        (page, AgentErrorClass::Configuration),
        (nonsense, AgentErrorClass::Transient),
        (elsewhere, AgentErrorClass::Configuration),
    ] {
        let error = gateway.ask("hi").await.unwrap_err();

        assert_eq!(error.class(), class, "{error}");
    }
}

#[tokio::test]
async fn an_answer_in_parts_and_one_taken_by_a_filter_are_understood() {
    let choice = |content: serde_json::Value, reason: &str| {
        axum::Json(json!({ "choices": [{ "message": { "content": content }, "finish_reason": reason }] }))
            .into_response()
    };
    let parts = json!([{ "type": "text", "text": "Hel" }, { "type": "text", "text": "lo." }]);
    let in_parts = Gateway::answering(move || choice(parts.clone(), "stop")).await;
    let filtered = Gateway::answering(move || choice(json!(null), "content_filter")).await;

    assert_eq!(text(in_parts.ask("hi").await), "Hello.");
    assert!(matches!(filtered.ask("hi").await, Err(AgentError::Permanent(_))));
}

#[tokio::test]
async fn what_a_gateway_quotes_of_a_message_is_not_in_its_error() {
    const QUOTING: &str =
        "invalid input \"My doctor says it is serious. Tell nobody.\" of whatsapp:+15005550100";
    let said = "My doctor says it is serious.\nTell nobody.";
    let refusing = Gateway::answering(|| refusal(400, QUOTING)).await;
    let in_band =
        Gateway::answering(|| axum::Json(json!({ "error": { "message": QUOTING } })).into_response()).await;
    let misshapen =
        Gateway::answering(|| axum::Json(json!({ "choices": "Your doctor says so" })).into_response()).await;

    for gateway in [refusing, in_band] {
        let error = gateway.ask(said).await.unwrap_err().to_string();
        assert!(error.contains("invalid input \"[…]\" of whatsapp:+…0100"), "{error}");
    }
    let error = misshapen.ask(said).await.unwrap_err().to_string();
    assert!(!error.contains("doctor") && error.contains("expected a sequence"), "{error}");
}
