//! A server that judges texts.

use std::time::Duration;

use agent::moderation::{Judgement, ModerationError, Moderator, ModeratorSettings};
use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::gateway::{Gateway, TOKEN, refusal};

/// A server at this address, without a token and a model.
fn at(base_url: &str) -> ModeratorSettings {
    ModeratorSettings {
        base_url: base_url.to_owned(),
        token: "".into(),
        model: String::new(),
        timeout: Duration::from_secs(5),
    }
}

async fn judge(status: u16, answer: Value) -> (Gateway, Result<Judgement, ModerationError>) {
    let status = StatusCode::from_u16(status).unwrap();
    let server = Gateway::answering(move || (status, Json(answer.clone())).into_response()).await;
    let model = "omni-moderation-latest".to_owned();
    let settings = ModeratorSettings { token: TOKEN.into(), model, ..at(&server.url) };
    let moderator = Moderator::new(&settings).unwrap();
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
        Judgement { flagged: true, categories: vec!["hate".to_owned(), "violence".to_owned()] }
    );
    let asked = server.asked();
    assert_eq!(asked.line, "POST /v1/moderations");
    assert_eq!(asked.header("authorization"), Some("Bearer gateway-token"));
    assert_eq!(asked.body, json!({ "input": "a text", "model": "omni-moderation-latest" }));
}

#[tokio::test]
async fn a_harmless_text_passes() {
    let (_server, result) = judge(200, json!({ "results": [{ "flagged": false }] })).await;

    assert_eq!(result.unwrap(), Judgement { flagged: false, categories: vec![] });
}

#[tokio::test]
async fn no_judgement_is_an_error_and_never_a_pass() {
    let long = "x".repeat(2 * 1024 * 1024);
    let cases = [
        (200, json!({ "results": [] })),
        (200, json!({ "results": [{ "categories": { "violence": false } }] })),
        (200, json!({ "results": [{ "flagged": false }], "id": long })),
        (200, json!({ "ok": true })),
        (400, json!({ "error": { "message": "no such model" } })),
        (500, json!({ "error": { "message": "internal" } })),
    ];
    for (status, answer) in cases {
        let (_server, result) = judge(status, answer).await;

        assert!(matches!(result, Err(ModerationError::NoJudgement(_))), "{status} {result:?}");
    }
}

#[tokio::test]
async fn what_the_operator_can_mend_is_named_and_the_token_is_not_shown() {
    let cases = [
        (401, "check moderation.token"),
        (402, "moderation.token"),
        (403, "moderation.token"),
        (404, "check moderation.base_url"),
        (308, "set moderation.base_url"),
    ];
    for (status, remedy) in cases {
        let (_server, result) = judge(status, json!({ "error": { "message": format!("no {TOKEN}") } })).await;

        let Err(error @ ModerationError::Configuration(_)) = result else { panic!("{status} {result:?}") };
        let error = error.to_string();
        assert!(error.starts_with("moderation is not set up: http://127.0.0.1"), "{error}");
        assert!(error.contains(remedy) && error.contains("(no ***)"), "{error}");
        assert!(!error.contains("agent") && !error.contains("OPENCLAW"), "{error}");
    }
}

#[tokio::test]
async fn a_busy_server_says_when_to_come_back() {
    let server =
        Gateway::answering(|| ([("retry-after", "17")], refusal(429, "slow down")).into_response()).await;
    let moderator = Moderator::new(&at(&server.url)).unwrap();

    let error = moderator.judge("a text").await.unwrap_err();

    let ModerationError::RateLimited { retry_after, reason } = error else { panic!("{error}") };
    assert_eq!(retry_after, Some(Duration::from_secs(17)));
    assert!(reason.contains("slow down"), "{reason}");
    let asked = server.asked();
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(asked.body, json!({ "input": "a text" }));
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_an_error() {
    let away = Moderator::new(&at("http://127.0.0.1:1")).unwrap();
    assert!(matches!(away.judge("a text").await, Err(ModerationError::NoJudgement(_))));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = ModeratorSettings { timeout: Duration::from_millis(50), ..at(&url) };
    let silent = Moderator::new(&settings).unwrap();
    let error = silent.judge("a text").await.unwrap_err();
    assert_eq!(error.to_string(), "the moderator gave no judgement: no answer within 50ms");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let error = Moderator::new(&at("nowhere")).unwrap_err();

    assert!(error.to_string().starts_with("moderation is not set up: the base URL is invalid"), "{error}");
}
