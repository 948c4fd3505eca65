//! Lists of messages and files, and single ones.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use twilio::client::LookupError;
use twilio::message_list::ListFilter;

use crate::server::Server;

const MESSAGE: &str = r#"{"sid":"SM1","status":"delivered","direction":"outbound-api","body":null,"from":"whatsapp:+14155238886",
    "to":"whatsapp:+15005550100","date_created":"Mon, 23 Nov 2026 15:04:05 +0000","date_sent":null,"error_code":null}"#;

#[tokio::test]
async fn a_list_is_followed_to_its_last_page() {
    let server = Server::start(|uri| {
        let last = uri.contains("PageToken=");
        let next = if last {
            "null"
        } else {
            r#""/2010-04-01/Accounts/AC1/Messages.json?PageSize=1000&PageToken=PA%201""#
        };
        format!(r#"{{"messages":[{MESSAGE}],"next_page_uri":{next}}}"#).into_response()
    })
    .await;
    let filter = ListFilter {
        to: Some("whatsapp:+15005550100"),
        sent_since: Some("2026-11-23".parse().unwrap()),
        ..ListFilter::default()
    };

    let messages = server.client().list_messages(&filter).await.unwrap();

    assert_eq!(messages.len(), 2);
    let message = messages[0].as_ref().unwrap();
    assert_eq!(message.body, "");
    assert_eq!(message.created_at.unwrap().to_rfc3339(), "2026-11-23T15:04:05+00:00");
    insta::assert_snapshot!(server.uris().join("\n"), @r"
    /2010-04-01/Accounts/AC1/Messages.json?PageSize=1000&To=whatsapp%3A%2B15005550100&DateSent%3E=2026-11-23
    /2010-04-01/Accounts/AC1/Messages.json?PageSize=1000&PageToken=PA%201
    ");
}

#[tokio::test]
async fn an_entry_that_cannot_be_used_does_not_hide_the_others() {
    let server = Server::start(|_| {
        let bad = r#"{"sid":"SM2","date_created":"soon"},null,{"sid":"SM3","body":"\ud83d"}"#;
        format!(r#"{{"messages":[{bad},{MESSAGE}],"next_page_uri":null}}"#).into_response()
    })
    .await;

    let entries = server.client().list_messages(&ListFilter::default()).await.unwrap();

    let sids: Vec<Result<&str, Option<&str>>> = entries
        .iter()
        .map(|entry| entry.as_ref().map(|message| message.sid.as_str()).map_err(|bad| bad.sid.as_deref()))
        .collect();
    assert_eq!(sids, [Err(Some("SM2")), Err(None), Ok("SM3"), Ok("SM1")]);
}

#[tokio::test]
async fn a_page_of_the_longest_messages_is_read() {
    let body = "\\u263a".repeat(1600);
    let entry = format!(r#"{{"sid":"SM1","body":"{body}","from":"whatsapp:+15005550100"}}"#);
    let page = format!(r#"{{"messages":[{}],"next_page_uri":null}}"#, vec![entry; 1000].join(","));
    let server = Server::start(move |_| page.clone().into_response()).await;

    let entries = server.client().list_messages(&ListFilter::default()).await.unwrap();

    assert_eq!(entries.len(), 1000);
}

#[tokio::test]
async fn a_list_without_an_end_is_cut_and_says_so() {
    let server =
        Server::start(|_| r#"{"messages":[],"next_page_uri":"/2010-04-01/again"}"#.into_response()).await;

    let error = server.client().list_messages(&ListFilter::default()).await.unwrap_err();

    assert!(matches!(error, LookupError::Endless), "{error}");
}

#[tokio::test]
async fn a_next_page_elsewhere_is_not_fetched() {
    let server =
        Server::start(|_| r#"{"messages":[],"next_page_uri":"https://evil.example/x"}"#.into_response())
            .await;

    server.client().list_messages(&ListFilter::default()).await.unwrap_err();

    assert_eq!(server.uris().len(), 1);
}

#[tokio::test]
async fn one_message_is_fetched_or_is_not_there() {
    let server = Server::start(|uri| match uri.ends_with("/Messages/SM1.json") {
        true => MESSAGE.into_response(),
        false => StatusCode::NOT_FOUND.into_response(),
    })
    .await;

    let there = server.client().fetch_message("SM1").await.unwrap();
    let absent = server.client().fetch_message("SM2").await.unwrap();

    assert_eq!(there.unwrap().unwrap().status, "delivered");
    assert_eq!(absent, None);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let server = Server::start(|_| "x".repeat(5 << 20).into_response()).await;

    let error = server.client().fetch_message("SM1").await.unwrap_err();

    assert!(error.to_string().contains("bytes"), "{error}");
}

#[tokio::test]
async fn a_file_is_located_by_its_uri_or_else_by_its_id() {
    let server = Server::start(|_| {
        r#"{"media_list":[{"sid":"ME1","content_type":null,"uri":"/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1.json"},
            {"sid":"ME2","content_type":"image/png","uri":null},{"sid":null},7]}"#
            .into_response()
    })
    .await;

    let files = server.client().list_media("MM1").await.unwrap();

    let base = format!("http://{}/2010-04-01/Accounts/AC1/Messages/MM1/Media", server.address);
    let urls: Vec<&str> = files.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!(urls, [format!("{base}/ME1"), format!("{base}/ME2")]);
    assert_eq!(files[1].1.content_type, "image/png");
}
