//! The typing indicator.

use reqwest::{Method, RequestBuilder, Response};
use sandbox::faults::Faults;
use sandbox::settings::SandboxSettings;
use serde_json::{Value, json};

use crate::account::{ACCOUNT_SID, AUTH_TOKEN, Account, error, settings};

fn indicating(account: &Account) -> RequestBuilder {
    let request = account.request(Method::POST, "/v3/Indicators/Typing.json");
    request.basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN))
}

async fn indicate(account: &Account, indicator: Value) -> Response {
    indicating(account).json(&indicator).send().await.unwrap()
}

/// A person writes the message SM1.
async fn hear(account: &Account) {
    account.inject(&[("MessageSid", "SM1"), ("Body", "hi"), ("deliver", "false")]).await;
}

#[tokio::test]
async fn typing_is_shown_on_the_message_that_is_answered() {
    let account = Account::open().await;
    hear(&account).await;

    let shown = indicate(&account, json!({"channel": "WHATSAPP", "messageId": "SM1"})).await;

    assert_eq!(shown.status(), 200);
    assert_eq!(shown.json::<Value>().await.unwrap(), json!({"success": true}));
    let message = account.sandbox.messages().remove(0);
    assert!(message.typing_at.is_some_and(|typing_at| typing_at >= message.created_at));
    assert_eq!(message.status, "received");
    let listed = account.request(Method::GET, "/sandbox/messages").send().await.unwrap();
    assert!(listed.json::<Value>().await.unwrap()[0]["typingAt"].is_string());
}

#[tokio::test]
async fn what_is_no_indicator_is_refused_in_twilios_words() {
    let account = Account::open().await;
    hear(&account).await;
    let cases = [
        json!({"channel": "whatsapp", "messageId": "SM1"}),
        json!({"channel": "SMS", "messageId": "SM1"}),
        json!({"channel": "WHATSAPP"}),
        json!({"messageId": "SM1"}),
        json!({"channel": "WHATSAPP", "messageId": 1}),
        json!([]),
    ];

    for indicator in cases {
        let refused = indicate(&account, indicator.clone()).await;

        assert_eq!(error(refused).await, (400, 20001), "{indicator}");
    }
    let form = [("channel", "WHATSAPP"), ("messageId", "SM1")];
    let refused = indicating(&account).form(&form).send().await.unwrap();
    assert_eq!(error(refused).await, (400, 20001));
    assert_eq!(account.sandbox.messages()[0].typing_at, None);
}

#[tokio::test]
async fn only_a_message_that_a_person_wrote_can_be_answered() {
    let account = Account::open().await;
    let ours = account.create(&[("Body", "hello")]).await;

    for sid in [&ours["sid"], &json!("SM2")] {
        let refused = indicate(&account, json!({"channel": "WHATSAPP", "messageId": sid})).await;

        assert_eq!(error(refused).await, (404, 20404));
    }
    assert_eq!(account.sandbox.messages()[0].typing_at, None);
}

#[tokio::test]
async fn only_the_account_shows_that_it_types() {
    let account = Account::open().await;
    hear(&account).await;
    let indicator = json!({"channel": "WHATSAPP", "messageId": "SM1"});

    let nobody = account.request(Method::POST, "/v3/Indicators/Typing.json").json(&indicator);
    let other = account.request(Method::POST, "/v3/Indicators/Typing.json");
    let other = other.basic_auth(ACCOUNT_SID, Some("another-token")).json(&indicator);

    assert_eq!(error(nobody.send().await.unwrap()).await, (401, 20003));
    assert_eq!(error(other.send().await.unwrap()).await, (401, 20003));
    assert_eq!(account.sandbox.messages()[0].typing_at, None);
}

#[tokio::test]
async fn an_indicator_can_fail_on_request() {
    let account = Account::misbehaving(Faults { typing_error: 1.0, ..Faults::default() }).await;
    hear(&account).await;

    let failed = indicate(&account, json!({"channel": "WHATSAPP", "messageId": "SM1"})).await;

    assert_eq!(error(failed).await, (500, 20500));
    assert_eq!(account.sandbox.messages()[0].typing_at, None);
}

#[tokio::test]
async fn the_journal_keeps_when_typing_was_shown() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || SandboxSettings { journal: Some(folder.path().join("sandbox.jsonl")), ..settings() };
    let account = Account::with(settings()).await;
    hear(&account).await;
    indicate(&account, json!({"channel": "WHATSAPP", "messageId": "SM1"})).await;
    let before = account.sandbox.messages();
    account.sandbox.stop().await;

    let account = Account::with(settings()).await;

    assert!(before[0].typing_at.is_some());
    assert_eq!(account.sandbox.messages(), before);
}
