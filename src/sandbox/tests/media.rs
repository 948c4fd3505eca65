//! Files that people send: given to the sandbox, told of in a webhook, fetched as from Twilio.

use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use sandbox::faults::Faults;
use serde_json::Value;

use crate::account::{ACCOUNT_SID, AUTH_TOKEN, Account, PATIENCE, error};
use crate::receiver::Receiver;

/// Asks for a file as the account, and goes nowhere else.
async fn ask(url: &str) -> Response {
    let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    http.get(url).basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN)).send().await.unwrap()
}

/// Asks for a file without credentials, and goes nowhere else.
async fn ask_as_nobody(url: &str) -> Response {
    let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    http.get(url).send().await.unwrap()
}

fn location(response: &Response) -> &str {
    response.headers()["location"].to_str().unwrap()
}

async fn cdn_link(url: &str) -> String {
    let response = ask(url).await;
    assert_eq!(response.status(), 307);
    location(&response).to_owned()
}

#[tokio::test]
async fn a_file_is_given_and_fetched_as_from_twilio() {
    let account = Account::open().await;

    for method in [Method::PUT, Method::POST] {
        let request = account.request(method, "/sandbox/media").header("content-type", "image/jpeg");
        let given: Value = request.body("a picture").send().await.unwrap().json().await.unwrap();

        let url = given["url"].as_str().unwrap();
        let account_url = format!("{}/2010-04-01/Accounts/{ACCOUNT_SID}", account.sandbox.base_url());
        assert!(url.starts_with(&format!("{account_url}/Messages/MM")), "{url}");
        assert_eq!(given["contentType"], "image/jpeg");
        let link = cdn_link(url).await;
        assert!(link.starts_with(&format!("{}/sandbox/cdn/", account.sandbox.base_url())), "{link}");
        let file = ask_as_nobody(&link).await;
        assert_eq!(file.headers()["content-type"], "image/jpeg");
        assert_eq!(file.headers()["content-length"], "9");
        assert_eq!(file.text().await.unwrap(), "a picture");
    }
}

#[tokio::test]
async fn a_large_file_is_taken_and_a_larger_one_is_not() {
    let account = Account::open().await;
    let give = |size_bytes: usize| {
        account.request(Method::PUT, "/sandbox/media").body(vec![b'x'; size_bytes]).send()
    };

    let taken = give(20 << 20).await.unwrap();
    let refused = give((64 << 20) + 1).await;

    assert_eq!(taken.status(), 200);
    // The connection may be closed before all of it was written.
    assert!(refused.is_err() || refused.unwrap().status() == 413);
}

#[tokio::test]
async fn a_file_shows_itself_to_its_account_alone() {
    let account = Account::open().await;
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());
    let other_account = url.replace(ACCOUNT_SID, "AC00000000000000000000000000000002");
    let other_file = format!("{}0", &url[..url.len() - 1]);
    let other_file = if other_file == url { format!("{}1", &url[..url.len() - 1]) } else { other_file };

    assert_eq!(error(ask_as_nobody(&url).await).await, (401, 20003));
    assert_eq!(error(ask(&other_account).await).await, (404, 20404));
    assert_eq!(error(ask(&other_file).await).await, (404, 20404));
    let link = format!("{}/sandbox/cdn/0", account.sandbox.base_url());
    assert_eq!(ask_as_nobody(&link).await.status(), 404);
}

#[tokio::test]
async fn credentials_that_follow_the_redirect_are_an_error() {
    let account = Account::open().await;
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());

    let answer = ask(&cdn_link(&url).await).await;

    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_message_with_a_file_tells_of_it() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);
    let url = account.sandbox.add_media("audio/ogg", b"a voice".to_vec());

    account.inject(&[("MediaUrl0", &url), ("Body", "listen")]).await;

    let event = receiver.event().await;
    assert_eq!(event.headers["x-twilio-signature"], receiver.signature(&event));
    assert_eq!((event.param("NumMedia"), event.param("MessageType")), ("1", "audio"));
    assert_eq!((event.param("MediaUrl0"), event.param("MediaContentType0")), (url.as_str(), "audio/ogg"));
    let sid = event.param("MessageSid").to_owned();
    assert!(url.contains(&format!("/Messages/{sid}/Media/ME")), "{sid}");
    let messages = account.sandbox.messages();
    assert_eq!((messages[0].sid.as_str(), messages[0].media_url.as_deref()), (sid.as_str(), Some(&*url)));
}

#[tokio::test]
async fn what_is_given_with_a_file_takes_the_place_of_what_is_known() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());
    let usual = [("MediaUrl0", url.as_str()), ("MediaContentType0", "video/mp4")];
    let unusual = [("MessageSid", "MM1"), ("NumMedia", "3"), ("MessageType", "future")];

    account.inject(&usual).await;
    let event = receiver.event().await;
    account.inject(&[&usual[..], &unusual[..]].concat()).await;
    let other_event = receiver.event().await;

    assert_eq!((event.param("MediaContentType0"), event.param("MessageType")), ("video/mp4", "video"));
    assert_eq!((other_event.param("MessageSid"), other_event.param("NumMedia")), ("MM1", "3"));
    assert_eq!(other_event.param("MessageType"), "future");
}

#[tokio::test]
async fn a_file_that_is_sent_again_is_in_another_message() {
    let account = Account::open().await;
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());

    let mut sids = Vec::new();
    for _ in 0..2 {
        sids.push(account.inject(&[("MediaUrl0", &url), ("deliver", "false")]).await["sid"].clone());
    }

    assert_ne!(sids[0], sids[1]);
    assert!(sids.iter().all(|sid| sid.as_str().unwrap().starts_with("MM")), "{sids:?}");
    assert_eq!(account.sandbox.messages().len(), 2);
}

#[tokio::test]
async fn a_file_of_somebody_elses_is_told_of_too() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    account.inject(&[("MediaUrl0", "http://169.254.169.254/latest")]).await;
    let event = receiver.event().await;
    account.inject(&[("MediaUrl0", ""), ("Body", "no file")]).await;
    let text = receiver.event().await;

    assert_eq!((event.param("NumMedia"), event.param("MessageType")), ("1", "document"));
    assert_eq!(event.param("MediaUrl0"), "http://169.254.169.254/latest");
    assert!(event.param("MessageSid").starts_with("MM"));
    assert_eq!((text.param("NumMedia"), text.param("MessageType")), ("0", "text"));
}

#[tokio::test]
async fn a_file_can_be_missing_at_first() {
    let missing_for = |media_missing_ms: u64| Faults { media_missing_ms, ..Faults::default() };
    let account = Account::misbehaving(missing_for(3_600_000)).await;
    let given_at = Instant::now();
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());

    let missing = ask(&url).await;
    account.sandbox.set_faults(missing_for(100));
    while ask(&url).await.status() == 404 {
        assert!(given_at.elapsed() < PATIENCE);
    }

    assert_eq!(error(missing).await, (404, 20404));
    assert!(given_at.elapsed() >= Duration::from_millis(100));
    cdn_link(&url).await;
}

#[tokio::test]
async fn a_request_for_a_file_can_be_sent_elsewhere_or_fail() {
    let elsewhere = "http://127.0.0.1:1/elsewhere";
    let faults = Faults { media_redirect: Some(elsewhere.to_owned()), ..Faults::default() };
    let account = Account::misbehaving(faults).await;
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());

    let redirected = cdn_link(&url).await;
    account.sandbox.set_faults(Faults { media_error: 1.0, ..Faults::default() });
    let failed = ask(&url).await;

    assert_eq!(redirected, elsewhere);
    assert_eq!(error(failed).await, (500, 20500));
}

#[tokio::test]
async fn a_file_can_have_any_size() {
    let account = Account::open().await;
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());
    let link = cdn_link(&url).await;

    for size_bytes in [0, 5, 9, 200_000] {
        account.sandbox.set_faults(Faults { media_size_bytes: Some(size_bytes), ..Faults::default() });

        let file = ask_as_nobody(&link).await;

        assert_eq!(file.headers()["content-length"], size_bytes.to_string());
        let bytes = file.bytes().await.unwrap();
        assert_eq!(bytes.len() as u64, size_bytes);
        let known = bytes.len().min(9);
        assert_eq!(&bytes[..known], &b"a picture"[..known]);
    }
}

#[tokio::test]
async fn a_file_can_be_larger_than_anything_that_is_read() {
    let faults = Faults { media_size_bytes: Some(1 << 50), ..Faults::default() };
    let account = Account::misbehaving(faults).await;
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());

    let mut file = ask_as_nobody(&cdn_link(&url).await).await;

    assert_eq!(file.content_length(), Some(1 << 50));
    assert!(file.chunk().await.unwrap().unwrap().starts_with(b"a picture"));
}

#[tokio::test]
async fn a_file_can_come_byte_by_byte() {
    let account = Account::misbehaving(Faults { media_drip_ms: 10, ..Faults::default() }).await;
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());
    let link = cdn_link(&url).await;
    let begun = Instant::now();

    let file = ask_as_nobody(&link).await.text().await.unwrap();

    assert_eq!(file, "a picture");
    assert!(begun.elapsed() >= Duration::from_millis(90));
}

#[tokio::test]
async fn files_are_forgotten_with_the_messages() {
    let account = Account::open().await;
    let url = account.sandbox.add_media("image/jpeg", b"a picture".to_vec());

    account.request(Method::DELETE, "/sandbox/messages").send().await.unwrap();

    assert_eq!(error(ask(&url).await).await, (404, 20404));
}
