//! Answers that are said otherwise than in the books.

use std::time::Duration;

use agent::error::{AgentError, AgentErrorClass};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::gateway::{DONE, Gateway, STOP, completion, packets, piece, stream as body, text};

/// What comes of an answer.
async fn asked_of(
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> Result<String, AgentError> {
    let gateway = Gateway::answering(answer).await;
    gateway.ask("hi").await.map(|reply| text(Ok(reply)))
}

/// An event with a delta and a reason as they are given.
fn event(delta: Value, reason: Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] }))
}

/// A whole answer with this choice.
fn choice(choice: Value) -> Response {
    axum::Json(json!({ "object": "chat.completion", "choices": [choice] })).into_response()
}

fn said(delta: &str, reason: Value) -> String {
    event(json!({ "content": delta }), reason)
}

#[tokio::test]
async fn an_empty_reason_ends_nothing() {
    let reply = asked_of(|| {
        let pieces = ["One ", "two ", "three ", "four ", "five."].map(|word| said(word, json!("")));
        let slow = stream::iter(pieces).then(async |piece| {
            tokio::time::sleep(Duration::from_millis(600)).await;
            Ok(piece)
        });
        body(slow.chain(stream::iter([Ok(STOP.to_owned()), Ok(DONE.to_owned())])))
    });

    assert_eq!(reply.await.unwrap(), "One two three four five.");
    let all = ["One ", "two."].map(|word| said(word, json!(""))).concat();
    assert_eq!(asked_of(move || packets(&[&all])).await.unwrap(), "One two.", "and no other end than HTTP's");
}

#[tokio::test]
async fn calls_of_tools_end_nothing() {
    let reply = asked_of(|| {
        let begin = [
            Ok(said("Let me look. ", json!(null))),
            Ok(event(json!({ "tool_calls": [{}] }), json!("tool_calls"))),
        ];
        let late = stream::once(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(said("It rains.", json!("stop")) + DONE)
        });
        body(stream::iter(begin).chain(late))
    });

    assert_eq!(reply.await.unwrap(), "Let me look. It rains.");
}

#[tokio::test]
async fn a_stop_among_thoughts_and_the_word_null_end_nothing() {
    let reply = asked_of(|| {
        let thought = event(json!({ "reasoning_content": "Hm." }), json!("stop"));
        let begin = [Ok(thought.clone()), Ok(thought)];
        let late = stream::once(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(said("It ", json!("null")))
        });
        let later = stream::once(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(said("rains.", json!("stop")) + DONE)
        });
        body(stream::iter(begin).chain(late).chain(later))
    });

    assert_eq!(reply.await.unwrap(), "It rains.");
}

#[tokio::test]
async fn nul_is_left_out_of_an_answer_and_of_an_error() {
    let streamed = asked_of(|| packets(&[&said("a\0b", json!(null)), DONE])).await;
    let whole = asked_of(|| completion("a\0b")).await;
    let refused = asked_of(|| crate::gateway::refusal(400, "bad\0 input")).await.unwrap_err();

    assert_eq!((streamed.unwrap().as_str(), whole.unwrap().as_str()), ("ab", "ab"));
    assert_eq!(refused.class(), AgentErrorClass::Permanent);
    assert!(refused.to_string().contains("bad input") && !refused.to_string().contains('\0'), "{refused}");
}

#[tokio::test]
async fn a_character_that_is_cut_in_halves_is_joined_and_a_lone_half_replaced() {
    let raw =
        |content: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n");
    let halves = [raw("Hi \\ud83d"), raw("\\udc4b!"), DONE.to_owned()].concat();
    let lone = [raw("Hi \\ud83d"), raw("!"), DONE.to_owned()].concat();
    let whole = "{\"choices\":[{\"message\":{\"content\":\"Hi \\udc4b!\"},\"finish_reason\":\"stop\"}]}";

    assert_eq!(asked_of(move || packets(&[&halves])).await.unwrap(), "Hi 👋!");
    assert_eq!(asked_of(move || packets(&[&lone])).await.unwrap(), "Hi \u{fffd}!");
    assert_eq!(asked_of(move || Body::from(whole).into_response()).await.unwrap(), "Hi \u{fffd}!");
}

#[tokio::test]
async fn a_body_is_read_whatever_its_content_type_says() {
    let events = [piece("Hel"), piece("lo."), STOP.to_owned(), DONE.to_owned()].concat();
    let lines = "{\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n{\"choices\":[{\"delta\":{\"content\":\"lo.\"},\"finish_reason\":\"stop\"}]}\n";
    let whole = "{\n \"choices\": [{\"message\": {\"content\": \"Hello.\"}, \"finish_reason\": \"stop\"}]\n}";
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/json"),
        Some("application/x-ndjson"),
        Some("application/octet-stream"),
        Some("text/html"),
        Some("text/event-stream"),
    ] {
        for said in [events.clone(), lines.to_owned(), whole.to_owned()] {
            let answered = asked_of(move || {
                let mut response = Body::from(said.clone()).into_response();
                response.headers_mut().remove("content-type");
                if let Some(content_type) = content_type {
                    response.headers_mut().insert("content-type", content_type.parse().unwrap());
                }
                response
            });
            assert_eq!(answered.await.unwrap(), "Hello.", "{content_type:?}");
        }
    }
}

#[tokio::test]
async fn a_sign_of_life_in_the_data_says_nothing() {
    let reply = asked_of(|| packets(&["data: : keepalive\n\n", &piece("Hello."), "data: ping\n\n", DONE]));

    assert_eq!(reply.await.unwrap(), "Hello.");
}

#[tokio::test]
async fn an_index_of_null_is_the_first_choice() {
    let piece = |index: Value, text: &str| {
        format!("data: {}\n\n", json!({ "choices": [{ "index": index, "delta": { "content": text } }] }))
    };
    let events = [piece(json!(null), "Hello."), piece(json!(1), "Goodbye."), DONE.to_owned()].concat();

    assert_eq!(asked_of(move || packets(&[&events])).await.unwrap(), "Hello.");
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let streamed = asked_of(|| {
        packets(&[
            &event(json!({ "content": null, "refusal": "I can't " }), json!(null)),
            &event(json!({ "refusal": "do that." }), json!("stop")),
            DONE,
        ])
    });
    let whole =
        json!({ "message": { "content": null, "refusal": "I can't do that." }, "finish_reason": "stop" });
    let in_parts =
        json!({ "message": { "content": [{ "type": "refusal", "refusal": "I can't do that." }] } });

    assert_eq!(streamed.await.unwrap(), "I can't do that.");
    assert_eq!(asked_of(move || choice(whole.clone())).await.unwrap(), "I can't do that.");
    assert_eq!(asked_of(move || choice(in_parts.clone())).await.unwrap(), "I can't do that.");
}

#[tokio::test]
async fn an_empty_error_beside_an_answer_is_none() {
    for nothing in [json!({}), json!(null), json!(""), json!(false)] {
        let answer = json!({ "error": nothing, "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });

        assert_eq!(asked_of(move || axum::Json(answer.clone()).into_response()).await.unwrap(), "Hello.");
        let event = json!({ "error": nothing, "choices": [{ "delta": { "content": "Hello." } }] });
        let event = format!("data: {event}\n\n");
        assert_eq!(asked_of(move || packets(&[&event, DONE])).await.unwrap(), "Hello.");
    }
}

#[tokio::test]
async fn nothing_but_calls_of_tools_is_not_asked_for_again() {
    let calls =
        json!([{ "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{}" } }]);
    let delta = event(json!({ "tool_calls": calls }), json!("tool_calls"));
    let message =
        json!({ "message": { "content": null, "tool_calls": calls }, "finish_reason": "tool_calls" });

    let streamed = asked_of(move || packets(&[&delta, DONE])).await.unwrap_err();
    let whole = asked_of(move || choice(message.clone())).await.unwrap_err();

    for error in [streamed, whole] {
        assert_eq!(error.class(), AgentErrorClass::Permanent, "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_reached_its_longest_length_is_marked() {
    let streamed =
        asked_of(|| packets(&[&piece("Once upon a"), &event(json!({}), json!("length")), DONE])).await;
    let whole = json!({ "message": { "content": "Once upon a" }, "finish_reason": "length" });
    let whole = asked_of(move || choice(whole.clone())).await;

    for reply in [streamed.unwrap(), whole.unwrap()] {
        assert!(reply.starts_with("Once upon a\n\n[The answer was cut off here"), "{reply}");
    }
}

#[tokio::test]
async fn a_last_chunk_that_says_everything_once_more_says_nothing_new() {
    let last = json!({ "choices": [{ "message": { "content": "Hello." }, "finish_reason": "stop" }] });

    let reply =
        asked_of(move || packets(&[&piece("Hel"), &piece("lo."), &format!("data: {last}\n\n"), DONE]));

    assert_eq!(reply.await.unwrap(), "Hello.");
}
