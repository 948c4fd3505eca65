//! Answers that come in pieces, and those that do not come.

use std::time::Duration;

use agent::Agent;
use agent::client::GatewayClient;
use agent::error::{AgentError, AgentErrorClass};
use agent::target::Endpoint;
use axum::response::Response;
use futures::StreamExt;
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::gateway::{DONE, Gateway, STOP, packets, piece, stream as body, text, turn};

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";

async fn asked_of(
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> Result<String, AgentError> {
    let gateway = Gateway::answering(answer).await;
    gateway.ask("hi").await.map(|reply| text(Ok(reply)))
}

fn is_transient(error: &AgentError, reason: &str) -> bool {
    error.class() == AgentErrorClass::Transient && error.to_string().contains(reason)
}

#[tokio::test]
async fn the_pieces_of_a_stream_are_one_text() {
    let reply = asked_of(|| {
        let all =
            [ROLE, &piece("Hel"), ": ping\n\n", &piece("lo. "), &piece("Grüße 👋"), STOP, DONE].concat();
        let (first, second) = all.split_at(all.len() / 2);
        packets(&[first, second])
    });

    assert_eq!(reply.await.unwrap(), "Hello. Grüße 👋");
}

#[tokio::test]
async fn any_end_is_enough() {
    assert_eq!(asked_of(|| packets(&[&piece("Hello.")])).await.unwrap(), "Hello.", "HTTP's own");
    assert_eq!(asked_of(|| packets(&[&piece("Hello."), DONE])).await.unwrap(), "Hello.");
    assert_eq!(asked_of(|| packets(&[&piece("Hello."), STOP])).await.unwrap(), "Hello.");
    assert_eq!(asked_of(|| packets(&[&piece("Hello."), "data: [DONE]"])).await.unwrap(), "Hello.");
}

#[tokio::test]
async fn half_a_stream_is_no_reply() {
    let begun = piece("Hello, I think that");
    let half_an_event = format!("{begun}data: {{\"choices\":");

    let cut = asked_of(move || packets(&[&half_an_event])).await.unwrap_err();
    let broken = cut_off("transfer-encoding: chunked\r\n\r\nfff\r\n", &begun).await;
    let closed = cut_off("connection: close\r\n\r\n", &begun).await;

    assert!(is_transient(&cut, "ended its answer in the middle"), "{cut}");
    assert!(is_transient(&broken, "broke off"), "{broken}");
    assert!(
        is_transient(&closed, "ended its answer in the middle"),
        "nobody knows whether it is all: {closed}"
    );
}

/// What comes of an answer with such a head whose connection is closed behind these words.
async fn cut_off(head: &str, begun: &str) -> AgentError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new(&format!("http://{}", listener.local_addr().unwrap()), &"".into()).unwrap();
    let agent = Agent::OpenClaw(GatewayClient::new(endpoint, Duration::from_secs(30)).unwrap());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{head}");
    let server = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        // All of the request is read first: closing with unread bytes would reset the connection.
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            connection.read_buf(&mut request).await.unwrap();
        }
        connection.write_all(format!("{head}{begun}").as_bytes()).await.unwrap();
    };

    let turn = turn("hi");
    let (reply, ()) = tokio::join!(agent.send_to_openclaw(&turn), server);
    reply.unwrap_err()
}

#[tokio::test]
async fn a_failed_run_is_no_reply_even_after_words() {
    for said in ["", "I will look it up. "] {
        let error = asked_of(move || packets(&[&piece(said), &piece("Error: internal error"), STOP, DONE]));

        let error = error.await.unwrap_err();

        assert!(is_transient(&error, "Error: internal error"), "{error}");
    }
    let quoted =
        asked_of(|| packets(&[&piece("The log says Error: internal error"), &piece(" twice."), DONE]));
    assert_eq!(quoted.await.unwrap(), "The log says Error: internal error twice.");
}

#[tokio::test]
async fn a_run_without_an_answer_is_no_reply() {
    for said in ["No response from OpenClaw.", " \n", ""] {
        let error = asked_of(move || packets(&[&piece(said), STOP, DONE])).await.unwrap_err();

        assert!(matches!(error, AgentError::Empty(_)), "{error}");
    }
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_has_its_class() {
    for (kind, is_expected) in [
        ("api_error", (|error| is_transient(error, "boom")) as fn(&AgentError) -> bool),
        ("rate_limit_exceeded", |error| matches!(error, AgentError::RateLimited { .. })),
        ("invalid_request_error", |error| matches!(error, AgentError::Permanent(_))),
    ] {
        let event = format!("data: {{\"error\":{{\"message\":\"boom\",\"type\":\"{kind}\"}}}}\n\n");

        let error = asked_of(move || packets(&[&piece("Hel"), &event])).await.unwrap_err();

        assert!(is_expected(&error), "{kind}: {error}");
    }
}

#[tokio::test]
async fn a_gateway_that_hangs_is_given_up() {
    let gateway =
        Gateway::answering(|| body(stream::iter([Ok(piece("Hello"))]).chain(stream::pending()))).await;
    let mut turn = turn("hi");

    let silent = gateway.agent_with_patience(Duration::from_millis(100)).send_to_openclaw(&turn).await;
    turn.timeout = Duration::from_millis(100);
    let late = gateway.agent().send_to_openclaw(&turn).await;

    assert!(is_transient(&silent.unwrap_err(), "fell silent for 100ms"));
    assert!(matches!(late.unwrap_err(), AgentError::TimedOut(timeout) if timeout == turn.timeout));
}

#[tokio::test]
async fn a_line_without_words_is_a_sign_of_life() {
    let gateway = Gateway::answering(|| {
        let pings = stream::iter(0..15).then(async |_| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(": ping\n".to_owned())
        });
        body(pings.chain(stream::iter([Ok(piece("At last.")), Ok(DONE.to_owned())])))
    })
    .await;

    let reply = gateway.agent_with_patience(Duration::from_secs(1)).send_to_openclaw(&turn("hi")).await;

    assert_eq!(text(reply), "At last.");
}

#[tokio::test]
async fn a_finished_answer_counts_though_its_connection_stays_open() {
    let finished = || stream::iter([Ok(piece("Hello.")), Ok(STOP.to_owned())]);

    let silent = asked_of(move || body(finished().chain(stream::pending())));
    let talking = asked_of(move || {
        let pings = stream::repeat(()).then(async |()| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(": ping\n".to_owned())
        });
        body(finished().chain(pings))
    });

    let (silent, talking) = tokio::join!(silent, talking);
    assert_eq!((silent.unwrap().as_str(), talking.unwrap().as_str()), ("Hello.", "Hello."));
}

#[tokio::test]
async fn an_end_mark_is_not_waited_behind() {
    let begun = std::time::Instant::now();

    let reply =
        asked_of(|| body(stream::iter([Ok(piece("Hello.")), Ok(DONE.to_owned())]).chain(stream::pending())));

    assert_eq!(reply.await.unwrap(), "Hello.");
    // The grace for a mark that is missing has two.
    assert!(begun.elapsed() < Duration::from_millis(1500));
}

#[tokio::test]
async fn an_endless_answer_is_refused() {
    let endless = piece(&"x".repeat(64 * 1024));

    let error = asked_of(move || {
        let endless = endless.clone();
        body(stream::repeat_with(move || Ok(endless.clone())))
    });

    assert!(matches!(error.await, Err(AgentError::Permanent(_))));
}
