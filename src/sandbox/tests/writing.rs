//! What a person does at a phone of the page: writes, sends files, presses buttons.

use sandbox::faults::{Faults, TemplateButton};

use crate::account::{Account, PERSON};
use crate::phone::{get, page, send};
use crate::receiver::Receiver;

#[tokio::test]
async fn a_form_sends_what_was_written() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    let sent = send(&account, &[("Body", "one\r\ntwo")], None).await;

    assert_eq!(sent.status(), 303);
    assert!(sent.headers()["location"].to_str().unwrap().starts_with("/sandbox?phones=%2B15005550100"));
    let event = receiver.event().await;
    assert_eq!(
        (event.param("Body"), event.param("From"), event.param("NumMedia")),
        ("one\ntwo", PERSON, "0")
    );
    assert_eq!((event.param("ProfileName"), event.param("MessageType")), ("Ada", "text"));
    let page = page(&account).await;
    assert!(page.contains("<div class=\"said\">one\ntwo</div>") && page.contains("A person wrote: one"));
}

#[tokio::test]
async fn an_empty_form_and_a_service_that_is_away_are_told() {
    let account = Account::open().await;

    let empty = send(&account, &[("Body", " ")], None).await;
    assert_eq!(empty.status(), 400);
    assert!(empty.text().await.unwrap().contains("write something, or choose a file"));
    let away = send(&account, &[("Body", "Hello")], None).await;
    assert_eq!(away.status(), 502);
    let away = away.text().await.unwrap();
    assert!(away.contains("the service did not take it: no connection"), "{away}");
    assert!(away.contains("<div class=\"said\">Hello</div>") && away.contains("2 tries"));
}

#[tokio::test]
async fn a_picture_is_sent_and_shown_and_another_file_only_kept() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);

    for (kind, name, expected, disposition) in [
        ("image/png", "cat.png", "image/png", "inline; filename=\"cat.png\""),
        ("image/svg+xml", "evil.svg", "application/octet-stream", "attachment; filename=\"evil.svg\""),
        ("text/html", "evil.html", "application/octet-stream", "attachment; filename=\"evil.html\""),
    ] {
        send(&account, &[("Body", "")], Some((kind, name, "bytes"))).await;
        let event = receiver.event().await;
        assert_eq!((event.param("MediaContentType0"), event.param("NumMedia")), (kind, "1"));
        let file = get(&account, &format!("/sandbox/files/{}", event.param("MessageSid"))).await;
        assert_eq!(file.headers()["content-type"], expected);
        assert_eq!(file.headers()["content-disposition"], disposition);
        assert_eq!(file.headers()["content-security-policy"], "default-src 'none'; sandbox");
        assert_eq!(file.text().await.unwrap(), "bytes");
    }
    let page = page(&account).await;
    assert!(page.contains("alt=\"cat.png\"") && page.contains("<strong>evil.svg</strong>"));
    assert_eq!(page.matches("<img ").count(), 1);
}

#[tokio::test]
async fn a_picture_that_the_service_sends_is_shown() {
    let account = Account::open().await;
    let picture = account.sandbox.add_media("image/png", b"a picture".to_vec());
    let link = picture.replace("/2010", "/nowhere/2010");

    let gone = account.create(&[("MediaUrl", &format!("{link}.png"))]).await;
    let sent = account.create(&[("MediaUrl", &picture)]).await;

    let gone = get(&account, &format!("/sandbox/files/{}", gone["sid"].as_str().unwrap())).await;
    assert_eq!(gone.status(), 502);
    assert!(gone.text().await.unwrap().contains("404"));
    let sent = get(&account, &format!("/sandbox/files/{}", sent["sid"].as_str().unwrap())).await;
    assert_eq!(sent.bytes().await.unwrap().as_ref(), b"a picture");
}

#[tokio::test]
async fn a_template_shows_its_buttons_and_pressing_one_sends_it() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);
    let template = "HX00000000000000000000000000000001".to_owned();
    let button = TemplateButton { title: "Yes, please".to_owned(), id: "yes_1".to_owned() };
    account.sandbox.set_faults(Faults {
        template_texts: [(template.clone(), "Shall we, {{1}}?".to_owned())].into(),
        template_buttons: [(template.clone(), vec![button])].into(),
        ..Faults::default()
    });
    let made = account.create(&[("ContentSid", &template), ("ContentVariables", r#"{"1":"Ann"}"#)]).await;
    let sid = made["sid"].as_str().unwrap();

    let page = page(&account).await;
    assert!(page.contains("Shall we, Ann?") && page.contains("<button>Yes, please</button>"));
    assert!(page.contains(&format!("name=\"OriginalRepliedMessageSid\" value=\"{sid}\"")));
    let pressed = [
        ("Body", "Yes, please"),
        ("ButtonText", "Yes, please"),
        ("ButtonPayload", "yes_1"),
        ("OriginalRepliedMessageSid", sid),
    ];
    send(&account, &pressed, None).await;

    let event = receiver.event().await;
    assert_eq!((event.param("ButtonText"), event.param("ButtonPayload")), ("Yes, please", "yes_1"));
    assert_eq!((event.param("MessageType"), event.param("OriginalRepliedMessageSid")), ("button", sid));
}
