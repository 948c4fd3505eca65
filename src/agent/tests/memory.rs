//! What an agent without a history of its own is told.

use std::time::Duration;

use agent::error::AgentErrorClass;
use agent::memory::{Memory, MemoryKeeper, PastMessage, Role};
use agent::turn::{TurnPart, TurnRequest};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::gateway::{Gateway, completion, refusal, text, turn};

fn person(text: &str) -> PastMessage {
    PastMessage { role: Role::Person, text: text.to_owned() }
}

fn assistant(text: &str) -> PastMessage {
    PastMessage { role: Role::Assistant, text: text.to_owned() }
}

fn turn_with(past: Vec<PastMessage>) -> TurnRequest {
    TurnRequest { memory: Memory::Thread(past), ..turn("And now?") }
}

/// The messages of a request, each as its role and its text.
fn told(messages: &Value) -> Vec<(&str, &str)> {
    let messages = messages.as_array().unwrap().iter();
    messages.map(|said| (said["role"].as_str().unwrap(), said["content"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn what_was_said_before_goes_along_by_turns_and_begins_and_ends_with_the_person() {
    let gateway = Gateway::answering(|| completion("Hello.")).await;
    let cases = [
        (vec![], vec![("user", "And now?")]),
        (
            vec![person("Tea?"), assistant("**Yes**"), person("Green?"), assistant("Black.")],
            vec![
                ("user", "Tea?"),
                ("assistant", "**Yes**"),
                ("user", "Green?"),
                ("assistant", "Black."),
                ("user", "And now?"),
            ],
        ),
        (
            vec![assistant("Good morning."), assistant("It rains."), person("Where?"), person("Here?")],
            vec![
                ("user", "[The assistant wrote:]"),
                ("assistant", "Good morning.\n\nIt rains."),
                ("user", "Where?\n\nHere?\nAnd now?"),
            ],
        ),
    ];
    for (past, expected) in cases {
        gateway.agent().send_to_openclaw(&turn_with(past)).await.unwrap();

        let body = gateway.asked().body;
        assert_eq!(told(&body["messages"]), expected);
        assert_eq!((&body["user"], &body["model"]), (&json!("whatsapp-7"), &json!("openclaw")));
    }
}

#[tokio::test]
async fn a_turn_that_is_asked_again_brings_its_question_once_and_no_system_message() {
    let gateway = Gateway::answering(|| completion("Hello.")).await;
    let turn = TurnRequest {
        asked_before: Some(Duration::from_secs(10)),
        ..turn_with(vec![person("Tea?"), assistant("Yes.")])
    };

    gateway.agent().send_to_openclaw(&turn).await.unwrap();

    let body = gateway.asked().body;
    let told = told(&body["messages"]);
    assert_eq!(told[..2], [("user", "Tea?"), ("assistant", "Yes.")]);
    let (role, question) = told[2];
    assert!(role == "user" && question.ends_with("must not be done again.]\nAnd now?"), "{question}");
    assert_eq!((told.len(), body.to_string().matches("And now?").count()), (3, 1));
}

#[tokio::test]
async fn a_picture_of_this_turn_is_shown_and_named_beside_what_was_said_before() {
    let gateway = Gateway::answering(|| completion("A cat.")).await;
    let mut turn = turn_with(vec![person("Look [picture (image/png)]"), assistant("A dog.")]);
    turn.parts.push(TurnPart::Image { mime: "image/png".to_owned(), bytes: b"cat".to_vec() });

    gateway.agent().send_to_openclaw(&turn).await.unwrap();

    let messages = gateway.asked().body["messages"].clone();
    assert_eq!(messages[0]["content"], "Look [picture (image/png)]");
    assert_eq!(messages[2]["content"][0]["text"], "And now?\n[picture (image/png, 1 KB)]");
    assert_eq!(messages[2]["content"][1]["image_url"]["url"], "data:image/png;base64,Y2F0");
}

#[tokio::test]
async fn a_model_that_takes_no_more_gets_less_of_what_was_said_before() {
    let refusals = [
        (400, "Requested tokens (5000) exceed context window of 2048", ""),
        (
            400,
            "the request exceeds the available context size, try increasing it",
            "exceed_context_size_error",
        ),
        (400, "This model's maximum context length is 4096 tokens.", "BadRequestError"),
        (400, "litellm.ContextWindowExceededError: too much", ""),
        (400, "Too long", "context_length_exceeded"),
        (413, "", ""),
    ];
    for (status, message, kind) in refusals {
        let gateway = Gateway::for_asked(move |body| {
            let length = body["messages"].as_array().unwrap().len();
            let body = json!({ "error": { "message": message, "type": kind } });
            match length {
                0..=3 => completion("Hello."),
                _ => (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response(),
            }
        })
        .await;
        let past: Vec<PastMessage> = (0..10)
            .flat_map(|n| [person(&format!("question {n}")), assistant(&format!("answer {n}"))])
            .collect();

        assert_eq!(text(gateway.agent().send_to_openclaw(&turn_with(past)).await), "Hello.", "{message}");

        let body = gateway.asked().body;
        let told = told(&body["messages"]);
        assert_eq!(told, [("user", "question 9"), ("assistant", "answer 9"), ("user", "And now?")]);
        assert_eq!(gateway.times_asked(), 3, "{message}");
    }
}

#[tokio::test]
async fn a_turn_that_is_too_long_by_itself_is_given_up() {
    let gateway = Gateway::answering(|| refusal(400, "prompt is too long: 300000 tokens")).await;

    let error = gateway.agent().send_to_openclaw(&turn_with(vec![person("Tea?")])).await.unwrap_err();
    let alone = gateway.ask("hi").await.unwrap_err();

    assert_eq!(error.class(), AgentErrorClass::Permanent);
    assert_eq!(alone.class(), AgentErrorClass::Permanent);
    assert_eq!(gateway.times_asked(), 3, "with what was said before, and twice without");
}

#[tokio::test]
async fn what_a_server_quotes_of_what_was_said_before_is_not_kept() {
    let gateway = Gateway::answering(|| refusal(400, "cannot read 'My doctor says it is serious'")).await;
    let turn = turn_with(vec![person("My doctor says it is serious")]);

    let error = gateway.agent().send_to_openclaw(&turn).await.unwrap_err().to_string();

    assert!(error.contains("cannot read") && !error.contains("doctor"), "{error}");
}

#[tokio::test]
async fn a_gateway_is_known_by_the_agents_that_it_lists() {
    let list = |ids: &[&str]| {
        let models: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "object": "model" })).collect();
        (200, json!({ "object": "list", "data": models }))
    };
    let cases = [
        (
            "OpenClaw",
            list(&["openclaw", "openclaw/default", "openclaw/main"]),
            Ok(Some(MemoryKeeper::Gateway)),
        ),
        ("OpenClaw behind a proxy", list(&["gpt-5", "openclaw/main"]), Ok(Some(MemoryKeeper::Gateway))),
        ("OpenAI", list(&["gpt-5", "gpt-5-mini"]), Ok(Some(MemoryKeeper::Thread))),
        ("a model with that alias", list(&["openclaw"]), Ok(Some(MemoryKeeper::Thread))),
        ("no model yet", list(&[]), Ok(None)),
        ("no list", (404, json!({ "detail": "Not Found" })), Ok(None)),
        ("something else", (200, json!({ "models": [] })), Ok(None)),
        ("not ready", (503, json!({})), Err(AgentErrorClass::Unavailable)),
        ("wrong token", (401, json!({})), Err(AgentErrorClass::Configuration)),
    ];
    for (name, (status, body), expected) in cases {
        let gateway = Gateway::for_path(move |path| match path {
            "/v1/models" => (StatusCode::from_u16(status).unwrap(), axum::Json(body.clone())).into_response(),
            _ => refusal(500, "not asked for"),
        })
        .await;

        let keeper = gateway.agent().memory_keeper().await.map_err(|error| error.class());

        assert_eq!(keeper, expected, "{name}");
    }
}
