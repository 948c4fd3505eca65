//! What a create takes in and what it refuses.

use reqwest::Method;
use serde_json::Value;

use crate::account::{ACCOUNT_SID, AUTH_TOKEN, Account, BUSINESS, PERSON, error};

#[tokio::test]
async fn a_message_is_taken_in_and_shown_as_twilio_shows_it() {
    let account = Account::open().await;

    let created = account.create(&[("Body", "Good morning"), ("ValidityPeriod", "600")]).await;

    assert_eq!((&created["body"], &created["status"]), (&"Good morning".into(), &"queued".into()));
    assert_eq!((&created["from"], &created["to"]), (&BUSINESS.into(), &PERSON.into()));
    assert_eq!(created["error_code"], Value::Null);
    let sid = created["sid"].as_str().unwrap();
    assert_eq!(created["uri"], format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}.json"));
    assert_eq!(account.sandbox.sent_to(PERSON)[0].validity_period, Some(600));
}

#[tokio::test]
async fn every_mistake_is_refused_with_twilios_code() {
    let account = Account::open().await;
    let too_long = "x".repeat(1601);
    let cases: &[(&[(&str, &str)], i64)] = &[
        (&[("To", ""), ("Body", "hi")], 21604),
        (&[("To", "+15005550100"), ("Body", "hi")], 21211),
        (&[("To", "whatsapp:+1500"), ("Body", "hi")], 21211),
        (&[("To", "whatsapp:us.123"), ("Body", "hi")], 21211),
        (&[("From", ""), ("Body", "hi")], 21603),
        (&[("From", "whatsapp:+14155550000"), ("Body", "hi")], 21606),
        (&[("Body", "")], 21602),
        (&[("Body", &too_long)], 21617),
        (&[("ContentSid", "HX12")], 21655),
        (&[("ContentSid", "HX00000000000000000000000000000001"), ("ContentVariables", "1=a")], 21656),
        (&[("ContentSid", "HX00000000000000000000000000000001"), ("ContentVariables", r#"{"1":""}"#)], 21656),
        (&[("Body", "hi"), ("StatusCallback", "ftp://a.example/")], 21609),
        (&[("Body", "hi"), ("StatusCallback", "http://my_host/")], 21609),
        (&[("Body", "hi"), ("ValidityPeriod", "0")], 21624),
        (&[("Body", "hi"), ("ValidityPeriod", "36001")], 21624),
        (&[("Body", "hi"), ("ValidityPeriod", "soon")], 21624),
        (&[("MediaUrl", "a.example/cat.png")], 21620),
        (&[("MediaUrl", "http://a.example/1.png"), ("MediaUrl", "http://a.example/2.png")], 21623),
    ];

    for (fields, code) in cases {
        let refused = error(account.creating(fields).send().await.unwrap()).await;

        assert_eq!(refused, (400, *code), "{fields:?}");
    }
    assert_eq!(account.sandbox.messages(), []);
}

#[tokio::test]
async fn the_longest_text_and_a_person_without_a_number_are_taken() {
    let account = Account::open().await;

    let created = account.create(&[("To", "whatsapp:US.ab12"), ("Body", &"é".repeat(1600))]).await;

    assert_eq!(created["to"], "whatsapp:US.ab12");
}

#[tokio::test]
async fn a_template_needs_no_text() {
    let account = Account::open().await;
    let sid = "HX00000000000000000000000000000001";

    account.create(&[("ContentSid", sid), ("ContentVariables", r#"{"1":"Ann"}"#)]).await;

    let message = &account.sandbox.messages()[0];
    assert_eq!(message.content_sid.as_deref(), Some(sid));
    assert_eq!(message.content_variables.as_deref(), Some(r#"{"1":"Ann"}"#));
}

#[tokio::test]
async fn a_picture_needs_no_text_and_gets_the_id_of_a_media_message() {
    let account = Account::open().await;

    let created = account.create(&[("MediaUrl", "https://a.example/cat.png")]).await;

    assert!(created["sid"].as_str().unwrap().starts_with("MM"));
    assert_eq!((&created["num_media"], &created["body"]), (&"1".into(), &"".into()));
    let media_url = account.sandbox.messages()[0].media_url.clone();
    assert_eq!(media_url.as_deref(), Some("https://a.example/cat.png"));
}

#[tokio::test]
async fn only_the_account_with_its_token_gets_in() {
    let account = Account::open().await;
    let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
    let get = |path: &str| account.request(Method::GET, path);

    let nobody = get(&path).send().await.unwrap();
    let wrong_token = get(&path).basic_auth(ACCOUNT_SID, Some("guess")).send().await.unwrap();
    let other_path = get("/2010-04-01/Accounts/AC9/Messages.json");
    let other_path = other_path.basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN)).send().await.unwrap();
    let no_path = get("/2011-04-01/Nothing").send().await.unwrap();

    assert_eq!(error(nobody).await, (401, 20003));
    assert_eq!(error(wrong_token).await, (401, 20003));
    assert_eq!(error(other_path).await, (404, 20404));
    assert_eq!(error(no_path).await, (404, 20404));
}
