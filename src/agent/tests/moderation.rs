//! A server that judges texts.

use std::time::Duration;

use agent::error::ErrorClass;
use agent::moderation::{ModerationError, Moderator, Verdict};
use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::gateway::{Gateway, TOKEN};

async fn judge(status: u16, answer: Value) -> (Gateway, Result<Verdict, ModerationError>) {
    let status = StatusCode::from_u16(status).unwrap();
    let server = Gateway::answering(move || (status, Json(answer.clone())).into_response()).await;
    let model = Some("omni-moderation-latest".to_owned());
    let moderator = Moderator::new(&server.url, TOKEN, model, Duration::from_secs(5)).unwrap();
    let result = moderator.judge("a text").await;
    (server, result)
}

#[tokio::test]
async fn a_text_is_judged() {
    let categories = json!({ "violence": true, "hate": true, "self-harm": false, "new": null });
    let (server, result) =
        judge(200, json!({ "id": "m", "results": [{ "flagged": true, "categories": categories }] })).await;

    assert_eq!(
        result.unwrap(),
        Verdict { flagged: true, categories: vec!["hate".to_owned(), "violence".to_owned()] }
    );
    let asked = server.asked();
    assert_eq!(asked.line, "POST /v1/moderations");
    assert_eq!(asked.header("authorization"), Some("Bearer gateway-token"));
    assert_eq!(asked.body, json!({ "input": "a text", "model": "omni-moderation-latest" }));
}

#[tokio::test]
async fn a_harmless_text_passes() {
    let (_server, result) = judge(200, json!({ "results": [{ "flagged": false }] })).await;

    assert_eq!(result.unwrap(), Verdict { flagged: false, categories: vec![] });
}

#[tokio::test]
async fn no_judgement_is_an_error_and_never_a_pass() {
    let cases = [
        (200, json!({ "results": [] }), ErrorClass::Transient),
        (200, json!({ "ok": true }), ErrorClass::Transient),
        (500, json!({ "error": { "message": "internal" } }), ErrorClass::Transient),
        (429, json!({ "error": { "message": "slow down" } }), ErrorClass::RateLimited),
        (401, json!({ "error": { "message": "bad key" } }), ErrorClass::Configuration),
        (404, json!({}), ErrorClass::Configuration),
    ];
    for (status, answer, class) in cases {
        let (_server, result) = judge(status, answer.clone()).await;

        assert_eq!(result.unwrap_err().0.class(), class, "{status} {answer}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_an_error() {
    let away = Moderator::new("http://127.0.0.1:9", "", None, Duration::from_secs(5)).unwrap();
    assert_eq!(away.judge("a text").await.unwrap_err().0.class(), ErrorClass::Transient);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = Moderator::new(&url, "", None, Duration::from_millis(50)).unwrap();
    assert_eq!(silent.judge("a text").await.unwrap_err().0.class(), ErrorClass::Transient);
}
