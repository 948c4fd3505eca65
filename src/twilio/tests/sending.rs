//! Messages that are sent, and what each answer proves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use twilio::account::{Account, ApiKey};
use twilio::client::TwilioClient;
use twilio::errors::ErrorClass;
use twilio::message::{MessageContent, OutboundMessage};
use twilio::sending::SendError;

use crate::server::{Server, account, client};

fn hello<'a>() -> OutboundMessage<'a> {
    OutboundMessage {
        to: "whatsapp:+15005550100",
        from: "whatsapp:+14155238886",
        content: MessageContent::Text("hello"),
        status_callback: None,
        validity_period_secs: None,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[tokio::test]
async fn an_accepted_message_has_its_sid() {
    let server = Server::answering(201, r#"{"sid":"SM1","status":"queued","error_code":null}"#).await;

    let accepted = server.client().send_whatsapp_message(&hello(), soon()).await.unwrap();

    assert_eq!((accepted.sid.as_str(), accepted.status.as_str()), ("SM1", "queued"));
    let request = server.only_request();
    assert_eq!(request.uri, "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(request.headers["authorization"], "Basic QUMxOnNlY3JldA==");
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
}

#[tokio::test]
async fn a_base_url_may_have_a_path_and_a_slash_at_its_end() {
    let server = Server::answering(201, r#"{"sid":"SM1"}"#).await;

    let client = client(&format!("http://{}/proxy/twilio/", server.address));
    client.send_whatsapp_message(&hello(), soon()).await.unwrap();

    assert_eq!(server.only_request().uri, "/proxy/twilio/2010-04-01/Accounts/AC1/Messages.json");
}

#[tokio::test]
async fn a_text_is_sent_byte_by_byte() {
    let server = Server::answering(201, r#"{"sid":"SM1"}"#).await;
    let message = OutboundMessage {
        content: MessageContent::Text("1 + 1 = 2 & 100%\n👍🏽"),
        status_callback: Some("https://bot.example.com/webhooks/whatsapp/status?chunk=7&attempt=2"),
        validity_period_secs: Some(90_000),
        ..hello()
    };

    server.client().send_whatsapp_message(&message, soon()).await.unwrap();

    insta::assert_snapshot!(server.only_request().body.replace('&', "\n&"), @r"
    To=whatsapp%3A%2B15005550100
    &From=whatsapp%3A%2B14155238886
    &Body=1+%2B+1+%3D+2+%26+100%25%0A%F0%9F%91%8D%F0%9F%8F%BD
    &StatusCallback=https%3A%2F%2Fbot.example.com%2Fwebhooks%2Fwhatsapp%2Fstatus%3Fchunk%3D7%26attempt%3D2
    &ValidityPeriod=36000
    ");
}

#[tokio::test]
async fn a_template_is_sent_with_its_variables() {
    let server = Server::answering(201, r#"{"sid":"SM1"}"#).await;
    let content = MessageContent::Template { content_sid: "HX1", variables: r#"{"1":"Zoë"}"# };

    server.client().send_whatsapp_message(&OutboundMessage { content, ..hello() }, soon()).await.unwrap();

    insta::assert_snapshot!(server.only_request().body.replace('&', "\n&"), @r"
    To=whatsapp%3A%2B15005550100
    &From=whatsapp%3A%2B14155238886
    &ContentSid=HX1
    &ContentVariables=%7B%221%22%3A%22Zo%C3%AB%22%7D
    ");
}

#[tokio::test]
async fn an_answer_of_twilio_says_what_is_proven() {
    #[derive(Debug, PartialEq)]
    enum Proof {
        NotSent(ErrorClass),
        InDoubt,
        Refused(Option<i32>, ErrorClass),
    }
    use Proof::{InDoubt, NotSent, Refused};
    let cases = [
        (400, r#"{"code":21211,"message":"no","status":400}"#, Refused(Some(21211), ErrorClass::Recipient)),
        (400, r#"{"code":21610,"message":"no","status":400}"#, Refused(Some(21610), ErrorClass::OptedOut)),
        (400, r#"{"code":21611,"message":"queue"}"#, NotSent(ErrorClass::RateLimited)),
        (
            401,
            r#"{"code":20003,"message":"no","status":401}"#,
            Refused(Some(20003), ErrorClass::Configuration),
        ),
        (
            404,
            r#"{"code":20404,"message":"no","status":404}"#,
            Refused(Some(20404), ErrorClass::Configuration),
        ),
        (404, "<html>", Refused(None, ErrorClass::Configuration)),
        (429, r#"{"code":20429,"message":"slow"}"#, NotSent(ErrorClass::RateLimited)),
        (429, r#"{"code":63038,"message":"cap"}"#, NotSent(ErrorClass::DailyCap)),
        (429, "", NotSent(ErrorClass::RateLimited)),
        (500, r#"{"code":20500,"message":"oops"}"#, InDoubt),
        (503, "<html>upstream</html>", InDoubt),
        (201, "<html>", InDoubt),
        (201, r#"{"sid":null}"#, InDoubt),
        (201, r#"{"sid":""}"#, InDoubt),
        (201, r#"{"sid":"no id"}"#, InDoubt),
        (201, r#"{"sid":"SM1","to":"whatsapp:+15005550199"}"#, InDoubt),
        (301, "", Refused(None, ErrorClass::Configuration)),
        (408, "", InDoubt),
    ];
    let mut wrong = Vec::new();

    for (status, body, expected) in cases {
        let server = Server::answering(status, body).await;
        let proof = match server.client().send_whatsapp_message(&hello(), soon()).await.unwrap_err() {
            SendError::NotSent { class, .. } => NotSent(class),
            SendError::InDoubt { .. } => InDoubt,
            SendError::Refused { code, class, .. } => Refused(code, class),
        };
        if proof != expected {
            wrong.push(format!("{status} {body}: {proof:?}, not {expected:?}"));
        }
    }

    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn retry_after_is_honoured_where_it_is_given() {
    for (header, expected) in [(Some("7"), Some(7)), (Some("tomorrow"), None), (None, None)] {
        let server = Server::start(move |_| {
            let mut answer = StatusCode::TOO_MANY_REQUESTS.into_response();
            if let Some(header) = header {
                answer.headers_mut().insert("retry-after", header.parse().unwrap());
            }
            answer
        })
        .await;

        let error = server.client().send_whatsapp_message(&hello(), soon()).await.unwrap_err();

        let SendError::NotSent { retry_after, .. } = error else { panic!("{error}") };
        assert_eq!(retry_after, expected.map(Duration::from_secs));
    }
}

#[tokio::test]
async fn an_error_shows_no_phone_number() {
    let body =
        r#"{"code":21211,"message":"The 'To' number whatsapp:+15005550100 is not a valid phone number."}"#;
    let server = Server::answering(400, body).await;

    let error = server.client().send_whatsapp_message(&hello(), soon()).await.unwrap_err();

    assert!(!error.to_string().contains("15005550100"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server =
        Server::start(|_| (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response())
            .await;

    server.client().send_whatsapp_message(&hello(), soon()).await.unwrap_err();

    assert_eq!(server.uris(), ["/2010-04-01/Accounts/AC1/Messages.json"]);
}

/// Reads one request and then does what it is told with the connection.
async fn raw_server(answer: Option<&'static [u8]>) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await.unwrap();
        match answer {
            Some(answer) => stream.write_all(answer).await.unwrap(),
            None => std::future::pending().await,
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_it_in_doubt() {
    for half in [&b""[..], b"HTTP/1.1 201 Created\r\ncontent-length: 50\r\n\r\n{\"sid\":"] {
        let (address, _task) = raw_server(Some(half)).await;

        let error =
            client(&format!("http://{address}")).send_whatsapp_message(&hello(), soon()).await.unwrap_err();

        assert!(matches!(error, SendError::InDoubt { .. }), "{error}");
    }
}

#[tokio::test]
async fn silence_until_the_deadline_leaves_it_in_doubt() {
    let (address, _task) = raw_server(None).await;
    // Long enough for the request to begin on a machine that does much else.
    let deadline = Instant::now() + Duration::from_secs(3);

    let error =
        client(&format!("http://{address}")).send_whatsapp_message(&hello(), deadline).await.unwrap_err();

    assert!(matches!(error, SendError::InDoubt { .. }), "{error}");
}

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let error =
        client(&format!("http://{address}")).send_whatsapp_message(&hello(), soon()).await.unwrap_err();

    assert!(matches!(error, SendError::NotSent { class: ErrorClass::Transient, .. }), "{error}");
}

#[tokio::test]
async fn a_failed_tls_handshake_proves_that_nothing_was_sent() {
    let (address, _task) = raw_server(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;

    let error =
        client(&format!("https://{address}")).send_whatsapp_message(&hello(), soon()).await.unwrap_err();

    assert!(matches!(error, SendError::NotSent { class: ErrorClass::Transient, .. }), "{error}");
}

#[tokio::test]
async fn after_the_deadline_nothing_is_sent_at_all() {
    let server = Server::answering(201, r#"{"sid":"SM1"}"#).await;

    let error = server.client().send_whatsapp_message(&hello(), Instant::now()).await.unwrap_err();

    assert!(matches!(error, SendError::NotSent { .. }), "{error}");
    assert_eq!(server.uris(), Vec::<String>::new());
}

#[tokio::test]
async fn with_an_api_key_requests_carry_it_in_place_of_the_auth_token() {
    let server = Server::answering(201, r#"{"sid":"SM1"}"#).await;
    let api_key = ApiKey { sid: "SK1".to_owned(), secret: "of the key".into() };
    let account = Account { api_key: Some(api_key), ..account(&format!("http://{}", server.address)) };
    let shown = format!("{account:?}");
    let client = TwilioClient::new(account).unwrap();

    client.send_whatsapp_message(&hello(), soon()).await.unwrap();

    let request = server.only_request();
    assert_eq!(request.uri, "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(request.headers["authorization"], "Basic U0sxOm9mIHRoZSBrZXk=");
    assert!(!shown.contains("of the key") && !shown.contains("secret\""), "{shown}");
}

#[tokio::test]
async fn what_twilio_quotes_is_not_in_its_refusal() {
    let refusal = r#"{"code":21611,"message":"'To' +1 500 555 0100: cannot send \"Dear Alice, it is serious\" to Alice Example"}"#;
    let server = Server::answering(400, refusal).await;
    let text = OutboundMessage { content: MessageContent::Text("Dear Alice, it is serious"), ..hello() };
    let variables = r#"{"1":"Dear Alice, it is serious","2":"Alice Example"}"#;
    let template =
        OutboundMessage { content: MessageContent::Template { content_sid: "HX1", variables }, ..hello() };

    let of_text = server.client().send_whatsapp_message(&text, soon()).await.unwrap_err().to_string();
    let of_template = server.client().send_whatsapp_message(&template, soon()).await.unwrap_err().to_string();

    assert!(of_text.ends_with("'To' +…0100: cannot send \"[…]\" to Alice Example"), "{of_text}");
    assert!(of_template.ends_with("'To' +…0100: cannot send \"[…]\" to […]"), "{of_template}");
}
