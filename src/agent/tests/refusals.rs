//! What servers mean by an error: whose fault it is, how long to wait, and what mends it.

use std::time::Duration;

use agent::error::{AgentError, AgentErrorClass, Trouble};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::gateway::{DONE, Gateway, completion, packets, piece, turn};

async fn refused(status: u16, body: Value) -> AgentError {
    let status = StatusCode::from_u16(status).unwrap();
    let gateway = Gateway::answering(move || (status, axum::Json(body.clone())).into_response()).await;
    gateway.ask("hi").await.unwrap_err()
}

async fn failed_in_stream(error: Value) -> AgentError {
    let event = format!("data: {}\n\n", json!({ "error": error }));
    Gateway::answering(move || packets(&[&event, DONE])).await.ask("hi").await.unwrap_err()
}

fn trouble(error: &AgentError) -> Option<Trouble> {
    match error {
        AgentError::Unavailable { trouble, .. } | AgentError::Refused { trouble, .. } => Some(*trouble),
        _ => None,
    }
}

#[tokio::test]
async fn a_refused_key_of_the_model_is_told_from_a_wrong_token() {
    let error =
        |message: &str, kind: Value| json!({ "error": { "message": message, "type": kind, "code": "401" } });
    let cases = [
        ("OpenClaw, token", error("Unauthorized", json!("unauthorized")), Trouble::Token),
        (
            "litellm, token",
            error("Authentication Error, Invalid proxy server token passed.", json!("auth_error")),
            Trouble::Token,
        ),
        (
            "OpenAI, token",
            error("Incorrect API key provided: sk-x", json!("invalid_request_error")),
            Trouble::Token,
        ),
        ("llama.cpp, token", error("Invalid API Key", json!("authentication_error")), Trouble::Token),
        ("vLLM, token", json!({ "error": "Unauthorized" }), Trouble::Token),
        (
            "OpenClaw, model",
            error("Incorrect API key provided", json!("authentication_error")),
            Trouble::Provider,
        ),
        (
            "litellm, model",
            error("litellm.AuthenticationError: OpenAIException - bad key", json!(null)),
            Trouble::Provider,
        ),
    ];
    for (server, body, expected) in cases {
        let error = refused(401, body).await;

        assert_eq!(trouble(&error), Some(expected), "{server}: {error}");
        assert_eq!(
            error.to_string().contains("OPENCLAW_TOKEN"),
            expected == Trouble::Token,
            "{server}: {error}"
        );
    }
}

#[tokio::test]
async fn an_unknown_name_leads_to_the_setting_that_has_it() {
    let cases = [
        (
            400,
            json!({ "error": { "message": "Unknown agent: helper", "type": "invalid_request_error" } }),
            "openclaw.agent_id",
        ),
        (
            400,
            json!({ "error": { "message": "Multiple agents are configured, but this operation has no explicit owner." } }),
            "openclaw.agent_id",
        ),
        (
            400,
            json!({ "error": { "message": "Invalid `model`. Use `openclaw` or `openclaw/<agentId>`." } }),
            "openclaw.model",
        ),
        (
            400,
            json!({ "error": { "message": "/chat/completions: Invalid model name passed in model=openclaw." } }),
            "openclaw.model",
        ),
        (
            404,
            json!({ "object": "error", "message": "The model `openclaw` does not exist.", "code": 404 }),
            "openclaw.model",
        ),
        (
            404,
            json!({ "error": { "message": "model \"openclaw\" not found, try pulling it first" } }),
            "openclaw.model",
        ),
    ];
    for (status, body, setting) in cases {
        let error = refused(status, body).await;

        assert_eq!(trouble(&error), Some(Trouble::Name), "{error}");
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[tokio::test]
async fn what_a_gateway_says_of_itself_is_no_failed_run() {
    let starting = Gateway::answering(|| {
        (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], "starting").into_response()
    });
    let starting = starting.await.ask("hi").await.unwrap_err();
    let locked = json!({ "error": { "message": "Too many failed authentication attempts. Please try again later.", "type": "rate_limited" } });
    let locked = refused(429, locked).await;
    let poor =
        refused(429, json!({ "error": { "message": "No money", "type": "insufficient_quota" } })).await;

    assert_eq!(
        (starting.class(), starting.retry_after()),
        (AgentErrorClass::Unavailable, Some(Duration::from_secs(1)))
    );
    assert_eq!((locked.class(), trouble(&locked)), (AgentErrorClass::Unavailable, Some(Trouble::LockedOut)));
    assert_eq!((poor.class(), trouble(&poor)), (AgentErrorClass::Configuration, Some(Trouble::Provider)));
}

#[tokio::test]
async fn an_error_in_a_stream_is_classed_by_its_type_and_its_words() {
    let minute = Some(Duration::from_secs(60));
    let cases = [
        (
            json!({ "message": "Key refused", "type": "authentication_error" }),
            AgentErrorClass::Configuration,
            None,
        ),
        (
            json!({ "message": "Disabled. Retry after about 1 minute.", "type": "authentication_error" }),
            AgentErrorClass::RateLimited,
            minute,
        ),
        (json!({ "message": "Slow down", "code": 429 }), AgentErrorClass::RateLimited, None),
        (json!({ "message": "Overloaded", "type": "overloaded_error" }), AgentErrorClass::RateLimited, None),
        (
            json!({ "message": "Too long", "code": "context_length_exceeded" }),
            AgentErrorClass::Permanent,
            None,
        ),
        (json!({ "message": "boom", "type": "server_error" }), AgentErrorClass::Transient, None),
        (json!("boom"), AgentErrorClass::Transient, None),
    ];
    for (body, class, wait) in cases {
        let error = failed_in_stream(body.clone()).await;

        assert_eq!((error.class(), error.retry_after()), (class, wait), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_corrected_is_asked_for_as_a_whole_and_never_a_third_time() {
    let problem =
        "data: {\"error\":{\"message\":\"assistant text is append-only\",\"type\":\"api_error\"}}\n\n";
    let event = problem.to_owned();
    let answering = Gateway::for_asked(move |asked| {
        if asked["stream"] == true { packets(&[&piece("Hel"), &event, DONE]) } else { completion("Goodbye.") }
    })
    .await;
    let failing = Gateway::answering(move || packets(&[problem, DONE])).await;
    let again = agent::turn::TurnRequest { asked_before: Some(Duration::from_secs(10)), ..turn("hi") };

    assert_eq!(crate::gateway::text(answering.ask("hi").await), "Goodbye.");
    assert_eq!(failing.ask("hi").await.unwrap_err().class(), AgentErrorClass::GaveUp);
    assert_eq!((answering.times_asked(), failing.times_asked()), (2, 2));
    assert_eq!(failing.agent().send_to_openclaw(&again).await.unwrap_err().class(), AgentErrorClass::GaveUp);
    assert_eq!(failing.times_asked(), 3);
}
