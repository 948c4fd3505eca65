//! The typing indicator against a server on this machine.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use twilio::account::Account;
use twilio::client::{LookupError, TwilioClient};

fn client(api_base_url: &str) -> TwilioClient {
    TwilioClient::new(Account {
        account_sid: "AC1".to_owned(),
        auth_token: "secret".into(),
        api_key: None,
        api_base_url: api_base_url.parse().unwrap(),
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(60),
    })
    .unwrap()
}

/// A server that answers every indicator like this and hands on what it was sent.
async fn server(
    status: u16,
    body: &'static str,
) -> (TwilioClient, mpsc::UnboundedReceiver<(HeaderMap, String)>) {
    let (sender, requests) = mpsc::unbounded_channel();
    let answer = move |headers: HeaderMap, text: String| async move {
        sender.send((headers, text)).unwrap();
        (StatusCode::from_u16(status).unwrap(), body)
    };
    let router = Router::new().route("/v3/Indicators/Typing.json", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (client(&base_url), requests)
}

#[tokio::test]
async fn typing_is_shown_for_an_inbound_message() {
    let (client, mut requests) = server(200, r#"{"success":true}"#).await;

    client.show_typing("SM1").await.unwrap();

    let (headers, body) = requests.recv().await.unwrap();
    assert_eq!(headers["authorization"], "Basic QUMxOnNlY3JldA==");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(body, r#"{"channel":"WHATSAPP","messageId":"SM1"}"#);
}

#[tokio::test]
async fn a_refusal_has_its_status_and_code() {
    let cases = [
        (400, r#"{"code":20001,"message":"no","status":400}"#, Some(20001)),
        (404, r#"{"code":20404,"message":"no","status":404}"#, Some(20404)),
        (500, "<html>", None),
    ];

    for (expected, body, expected_code) in cases {
        let (client, _requests) = server(expected, body).await;

        let error = client.show_typing("SM1").await.unwrap_err();

        let LookupError::Refused { status, code } = error else { panic!("{error}") };
        assert_eq!((status, code), (expected, expected_code));
    }
}

#[tokio::test]
async fn nobody_waits_for_long_for_an_answer() {
    // Connections are taken and never answered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let client = client(&base_url);

    let asked = tokio::time::timeout(Duration::from_secs(60), client.show_typing("SM1"));

    let error = asked.await.expect("it is given up").unwrap_err();
    assert!(matches!(error, LookupError::Unanswered(_)), "{error}");
}
