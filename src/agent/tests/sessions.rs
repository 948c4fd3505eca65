//! A turn that is asked for again, at a gateway that keeps the conversation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::error::{AgentError, AgentErrorClass};
use agent::turn::{AgentAnswer, Reply, TurnPart, TurnRequest};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::gateway::{DONE, Gateway, STOP, packets, piece, refusal, text, turn};
use crate::session::{RunEnd, Session};

const QUESTION: &str = "Where is the key?";

/// A gateway with one session.
struct Remembering {
    gateway: Gateway,
    session: Arc<Mutex<Session>>,
    /// How the runs to come end; the last one stays.
    ends: Arc<Mutex<Vec<RunEnd>>>,
    /// What the model was told in each run.
    told: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Remembering {
    async fn ending(ends: &[RunEnd]) -> Self {
        let session: Arc<Mutex<Session>> = Arc::default();
        let told: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let ends = Arc::new(Mutex::new(ends.to_vec()));
        let (in_session, to_come, heard) = (session.clone(), ends.clone(), told.clone());
        let gateway = Gateway::for_asked(move |body| {
            let mut session = in_session.lock().unwrap();
            if body["tool"].is_string() {
                return Json(session.tool(body)).into_response();
            }
            let content = &body["messages"].as_array().unwrap().last().unwrap()["content"];
            heard
                .lock()
                .unwrap()
                .push(session.begin(content.as_str().or(content[0]["text"].as_str()).unwrap()));
            let mut ends = to_come.lock().unwrap();
            let end = if ends.len() > 1 { ends.remove(0) } else { ends[0] };
            session.end(end);
            response(end)
        })
        .await;
        Self { gateway, session, ends, told }
    }

    async fn ask(&self, turn: &TurnRequest) -> Result<AgentAnswer, AgentError> {
        self.gateway.agent().send_to_openclaw(turn).await
    }

    /// How often the model was told the question in each run.
    fn times_told(&self) -> Vec<usize> {
        let told = self.told.lock().unwrap();
        told.iter().map(|told| told.join("\n").matches(QUESTION).count()).collect()
    }
}

fn response(end: RunEnd) -> Response {
    let error = |message: &str| {
        packets(&[
            &format!("data: {}\n\n", json!({ "error": { "message": message, "type": "api_error" } })),
            DONE,
        ])
    };
    match end {
        RunEnd::Says(text) => packets(&[&piece(text), STOP, DONE]),
        RunEnd::Silence => error("internal error"),
        RunEnd::Failure => error("upstream provider error"),
        RunEnd::CutOff => packets(&["data: {\"choi"]),
    }
}

fn again(question: &str) -> TurnRequest {
    TurnRequest { asked_before: Some(Duration::from_secs(5)), ..turn(question) }
}

#[tokio::test]
async fn the_model_is_told_a_question_once_however_often_it_is_asked() {
    for failures in [
        &[RunEnd::Failure][..],
        &[RunEnd::CutOff],
        &[RunEnd::Failure, RunEnd::CutOff],
        &[RunEnd::CutOff, RunEnd::Failure],
        &[RunEnd::CutOff, RunEnd::CutOff],
        &[RunEnd::Failure, RunEnd::Failure],
    ] {
        let ends = [&[RunEnd::Says("Hello.")][..], failures, &[RunEnd::Says("Here.")]].concat();
        let gateway = Remembering::ending(&ends).await;
        gateway.ask(&turn("Good morning.")).await.unwrap();

        let mut asked = turn(QUESTION);
        for _ in failures {
            gateway.ask(&asked).await.unwrap_err();
            asked = again(QUESTION);
        }
        let answer = text(gateway.ask(&asked).await);
        gateway.ask(&turn("Thank you.")).await.unwrap();

        let told = gateway.times_told();
        assert_eq!((answer.as_str(), told[0]), ("Here.", 0));
        assert!(told[1..].iter().all(|times| *times == 1), "{failures:?}: {told:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_has_the_question_is_reminded_of_it() {
    let gateway = Remembering::ending(&[RunEnd::Failure, RunEnd::Says("Here.")]).await;
    let with_picture = |turn: TurnRequest| {
        let picture = TurnPart::Image { mime: "image/png".to_owned(), bytes: b"key".to_vec() };
        TurnRequest { parts: vec![TurnPart::Text(QUESTION.to_owned()), picture], ..turn }
    };

    gateway.ask(&with_picture(turn(QUESTION))).await.unwrap_err();
    gateway.ask(&with_picture(again(QUESTION))).await.unwrap();

    let messages = gateway.gateway.asked().body["messages"].clone();
    let reminder = messages[0]["content"].as_str().expect("it has no picture");
    assert!(reminder.contains("did not reach me") && reminder.contains("do not do it again"), "{reminder}");
    assert_eq!(messages.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_same_words_of_an_earlier_turn_are_not_taken_for_this_question() {
    let gateway = Remembering::ending(&[RunEnd::Says("In the drawer.")]).await;
    gateway.ask(&turn(QUESTION)).await.unwrap();
    gateway.session.lock().unwrap().age();

    // The first call of this turn never came to the session.
    gateway.ask(&again(QUESTION)).await.unwrap();

    let messages = gateway.gateway.asked().body["messages"].clone();
    assert_eq!((&messages[0]["role"], &messages[1]["content"]), (&json!("system"), &json!(QUESTION)));
}

#[tokio::test]
async fn a_gateway_that_does_not_tell_what_it_has_is_told_the_question() {
    let tools: [fn() -> Response; 4] = [
        || refusal(404, "Tool not available"),
        || refusal(500, "tool execution failed"),
        || Json(json!({ "ok": true })).into_response(),
        || {
            let details = json!({ "messages": [7, null, { "role": "user" }], "totalMessages": "?" });
            Json(json!({ "ok": true, "result": { "details": details } })).into_response()
        },
    ];
    for tool in tools {
        let gateway = Gateway::for_asked(move |asked| {
            if asked["tool"].is_string() { tool() } else { packets(&[&piece("Here."), STOP, DONE]) }
        })
        .await;

        assert_eq!(text(gateway.agent().send_to_openclaw(&again(QUESTION)).await), "Here.");

        assert_eq!(gateway.asked().body["messages"][1]["content"], QUESTION);
    }
}

#[tokio::test]
async fn silence_that_the_gateway_does_not_pass_on_is_found_in_the_session() {
    let gateway = Remembering::ending(&[RunEnd::Silence]).await;

    let answer = gateway.ask(&turn(QUESTION)).await.unwrap();

    assert_eq!(answer, AgentAnswer::of("NO_REPLY").unwrap());
    assert_eq!((answer.reply, gateway.times_told()), (Reply::Silent, vec![1]));
}

#[tokio::test]
async fn silence_after_a_reminder_is_found_too_and_that_of_an_earlier_turn_is_not() {
    let gateway = Remembering::ending(&[RunEnd::Failure, RunEnd::Silence]).await;
    gateway.ask(&turn(QUESTION)).await.unwrap_err();

    assert_eq!(gateway.ask(&again(QUESTION)).await.unwrap().reply, Reply::Silent);

    gateway.session.lock().unwrap().age();
    *gateway.ends.lock().unwrap() = vec![RunEnd::Failure];
    let failed = gateway.ask(&turn("And now?")).await.unwrap_err();
    assert_eq!(failed.class(), AgentErrorClass::Transient);
}
