//! Which of Twilio's keys may sign, and under which URLs.

use hmac::Hmac;
use sha1::Sha1;
use sha2::Sha256;

use crate::support::requests::signature;
use crate::support::{AUTH_TOKEN, NUMBER, PERSON, TestApp};

const PATH: &str = "/webhooks/whatsapp";
const KEY: (&str, &str) = ("webhooks_sharedkey_01hz3b8k2m", "q2V4dG9wLXNlY3JldC1mb3ItdGVzdHM=");

fn form(sid: &str) -> Vec<(&str, &str)> {
    vec![("MessageSid", sid), ("From", PERSON), ("To", NUMBER), ("Body", "Hello")]
}

/// A webhook with these headers; its status.
async fn post(app: &TestApp, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> u16 {
    let mut request = app.http.post(app.url(path)).form(form);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_key_signs_where_the_request_names_it_and_the_auth_token_everywhere_else() {
    let (id, secret) = KEY;
    let keys = format!("{id}={secret}");
    let app = TestApp::start_with(&[("TWILIO_WEBHOOK_KEYS", &keys)]).await;
    let url = app.url(PATH);
    let (settings, header) =
        (format!("key={id},algorithm=HMAC_SHA256"), "X-Twilio-Webhooks-Signature-Settings");
    let sha256 = |key: &str, form: &[(&str, &str)]| signature::<Hmac<Sha256>>(key, &url, form);

    let first = form("SM1");
    let by_key = sha256(secret, &first);
    let by_key = [("X-Twilio-Signature", by_key.as_str()), (header, settings.as_str())];
    assert_eq!(post(&app, PATH, &first, &by_key).await, 200);
    let second = form("SM2");
    let by_token = signature::<Hmac<Sha1>>(AUTH_TOKEN, &url, &second);
    assert_eq!(post(&app, PATH, &second, &[("X-Twilio-Signature", &by_token)]).await, 200);

    let third = form("SM3");
    let unknown = "key=another,algorithm=HMAC_SHA256".to_owned();
    let refused = [
        vec![("X-Twilio-Signature", sha256(secret, &third)), (header, unknown)],
        vec![("X-Twilio-Signature", sha256("guessed", &third)), (header, settings.clone())],
        vec![("X-Twilio-Signature", sha256(AUTH_TOKEN, &third)), (header, settings.clone())],
        vec![("X-Twilio-Signature", sha256(secret, &third))],
        vec![(header, "type=none".to_owned())],
    ];
    for headers in &refused {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(post(&app, PATH, &third, &headers).await, 403, "{headers:?}");
    }
    app.drained_well().await;

    assert_eq!(app.count("SELECT count(*) FROM channel_messages").await, Some(2));
    let logged = app.logged();
    for told in [
        "the shared key another of a webhook Setting signed it",
        &format!("the signature is not of the shared key {id}"),
        "a webhook Setting of the account was used",
    ] {
        assert!(logged.contains(told), "{told}: {logged}");
    }
    assert!(!logged.contains(secret) && !logged.contains(AUTH_TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_at_the_end_and_a_path_in_front_are_ordinary_and_what_has_gone_astray_is_told() {
    let base = "https://a.example/twilio/";
    let app = TestApp::start_with(&[("TWILIO_WEBHOOK_PUBLIC_URL", base)]).await;
    let mut number = 0;

    for (signed, arrives) in [
        ("https://a.example/twilio/webhooks/whatsapp", "/webhooks/whatsapp"),
        ("https://a.example/twilio/webhooks/whatsapp/", "/webhooks/whatsapp/"),
        ("https://a.example/twilio/webhooks/whatsapp", "/twilio/webhooks/whatsapp"),
        ("https://a.example/twilio/webhooks/whatsapp/", "/twilio/webhooks/whatsapp/"),
        ("https://a.example/twilio/", "/webhooks/whatsapp/"),
        ("https://a.example:443/twilio", "/webhooks/whatsapp"),
    ] {
        number += 1;
        let sid = format!("SM{number}");
        let form = form(&sid);
        let signed = signature::<Hmac<Sha1>>(AUTH_TOKEN, signed, &form);
        assert_eq!(post(&app, arrives, &form, &[("X-Twilio-Signature", &signed)]).await, 200, "{arrives}");
    }
    let status = [("MessageSid", "SMforeign"), ("MessageStatus", "sent")];
    for arrives in ["/webhooks/whatsapp/status", "/twilio/webhooks/whatsapp/status/"] {
        let url = "https://a.example/twilio/webhooks/whatsapp/status?chunk=1&attempt=1";
        let signed = signature::<Hmac<Sha1>>(AUTH_TOKEN, url, &status);
        let arrives = format!("{arrives}?chunk=1&attempt=1");
        assert_eq!(post(&app, &arrives, &status, &[("X-Twilio-Signature", &signed)]).await, 204, "{arrives}");
    }
    let form = form("SM99");
    let elsewhere = signature::<Hmac<Sha1>>(AUTH_TOKEN, "https://b.example/webhooks/whatsapp", &form);
    let headers = [("X-Twilio-Signature", elsewhere.as_str())];
    assert_eq!(post(&app, PATH, &form, &headers).await, 403);
    assert_eq!(post(&app, "/webhook/whatsapp", &form, &headers).await, 404);
    app.drained_well().await;

    assert_eq!(app.count("SELECT count(*) FROM channel_messages").await, Some(number));
    let logged = app.logged();
    assert!(logged.contains("tried https://a.example/twilio/webhooks/whatsapp, "), "{logged}");
    assert!(logged.contains("called POST /webhook/whatsapp, where no webhook is"), "{logged}");
}
