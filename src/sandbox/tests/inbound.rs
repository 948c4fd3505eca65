//! A person writes: the webhook, its retries, and what its answer makes Twilio say.

use reqwest::Method;
use serde_json::json;

use crate::account::{ACCOUNT_SID, Account, BUSINESS, PERSON};
use crate::receiver::Receiver;

#[tokio::test]
async fn a_persons_message_comes_signed_with_everything_that_twilio_tells() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    let injected = account.inject(&[("Body", "Grüße + 100 %")]).await;
    let event = receiver.event().await;

    assert_eq!(event.headers["x-twilio-signature"], receiver.signature(&event));
    assert_eq!((event.param("Body"), event.param("NumMedia")), ("Grüße + 100 %", "0"));
    assert_eq!((event.param("From"), event.param("WaId")), (PERSON, "15005550100"));
    assert_eq!((event.param("To"), event.param("AccountSid")), (BUSINESS, ACCOUNT_SID));
    for name in ["MessageSid", "SmsMessageSid", "SmsSid"] {
        assert_eq!(event.param(name), injected["sid"]);
    }
    assert_eq!(injected["webhook"], json!({"status": 200, "body": "<Response/>"}));
}

#[tokio::test]
async fn a_number_is_understood_however_it_was_written() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    for from in
        ["15005550100", "+15005550100", " 15005550100", "whatsapp: 15005550100", "+1 500 555 0100", PERSON]
    {
        account.inject(&[("From", from)]).await;

        assert_eq!(receiver.event().await.param("From"), PERSON, "{from}");
    }
}

#[tokio::test]
async fn who_is_nobody_on_whatsapp_writes_nothing() {
    let account = Account::open().await;

    for from in ["hello", "", "whatsapp:hello", "+0123456789", "1234567890123456", "usa.ab12", "US."] {
        let answer = account.inject(&[("From", from), ("Body", "Hello")]).await;

        assert!(
            answer["error"].as_str().is_some_and(|why| why.contains("a number like +15005550100")),
            "{from}: {answer}"
        );
    }
    assert_eq!(account.sandbox.messages().len(), 0);
}

#[tokio::test]
async fn a_person_who_hides_the_number_has_an_id_and_no_number() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    account.inject(&[("From", "whatsapp:US.ab12")]).await;

    let event = receiver.event().await;
    assert_eq!((event.param("From"), event.param("WaId")), ("whatsapp:US.ab12", ""));
    assert_eq!(event.param("ExternalUserId"), "whatsapp:US.ab12");
}

#[tokio::test]
async fn a_message_may_come_as_json_and_with_more_parameters() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);
    let message = json!({"Body": "STOP", "OptOutType": "STOP", "MessageSid": "SM1"});

    let request = account.request(Method::POST, "/sandbox/inbound").json(&message);
    let injected = request.send().await.unwrap();

    assert_eq!(injected.status(), 200);
    let event = receiver.event().await;
    assert_eq!((event.param("OptOutType"), event.param("MessageSid")), ("STOP", "SM1"));
}

#[tokio::test]
async fn the_urls_fragment_has_a_failed_webhook_tried_again() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[(500, "text/plain", "no"), (503, "text/plain", "no")]).await;
    account.sandbox.set_webhook_url(format!("{}#rc=3&rp=all", receiver.url));

    let injected = account.inject(&[("Body", "hi")]).await;

    assert_eq!(injected["webhook"]["status"], 200);
    let (first, second, third) = (receiver.event().await, receiver.event().await, receiver.event().await);
    assert!(receiver.is_idle());
    for again in [second, third] {
        assert_eq!(again.param("MessageSid"), first.param("MessageSid"));
        assert_eq!(again.headers["i-twilio-idempotency-token"], first.headers["i-twilio-idempotency-token"]);
        assert_eq!(again.headers["x-twilio-signature"], receiver.signature(&again));
    }
}

#[tokio::test]
async fn a_failed_webhook_is_lost_without_a_fragment() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[(500, "text/xml", "")]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    let injected = account.inject(&[("Body", "hi")]).await;

    assert_eq!(injected["webhook"]["status"], 500);
    receiver.event().await;
    assert!(receiver.is_idle());
    assert_eq!(account.sandbox.messages()[0].body, "hi");
}

#[tokio::test]
async fn the_same_message_twice_is_one_message_and_two_webhooks() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    for _ in 0..2 {
        account.inject(&[("MessageSid", "SM1"), ("Body", "hi")]).await;
        assert_eq!(receiver.event().await.param("MessageSid"), "SM1");
    }

    assert_eq!(account.sandbox.messages().len(), 1);
}

#[tokio::test]
async fn a_webhook_that_reaches_nobody_is_said_to_be_so() {
    let account = Account::open().await;

    let response = account.request(Method::POST, "/sandbox/inbound").form(&[("Body", "hi")]);

    assert_eq!(response.send().await.unwrap().status(), 502);
    assert_eq!(account.sandbox.messages()[0].body, "hi");
}

#[tokio::test]
async fn a_plain_text_answer_is_said_to_the_person() {
    let account = Account::open().await;
    let receiver = Receiver::start(&[(200, "text/plain; charset=utf-8", "OK")]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    account.inject(&[("Body", "hi")]).await;

    let said = account.sandbox.sent_to(PERSON);
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].direction.as_str(), said[0].body.as_str()), ("outbound-reply", "OK"));
}

#[tokio::test]
async fn an_empty_answer_says_nothing_to_the_person() {
    let account = Account::open().await;
    let receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    account.inject(&[("Body", "hi")]).await;

    assert_eq!(account.sandbox.sent_to(PERSON), []);
}
