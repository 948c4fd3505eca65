//! Files and everything else that is no text: what the agent gets of it, and what is refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sandbox::faults::Faults;
use sandbox::message::SandboxMessage;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::gateway::{Gateway, Run};
use crate::support::{ACCOUNT_SID, PERSON, TestApp};

/// The smallest picture there is, a pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const CARD: &[u8] = b"BEGIN:VCARD\r\nFN:Jane Doe\r\nTEL:+15005550199\r\nEND:VCARD\r\n";

/// An agent that says yes to everything, and the program that asks it.
async fn start() -> (Gateway, TestApp) {
    let gateway = Gateway::chatting(|_, _| Run::Say("Yes.", Duration::ZERO)).await;
    let short = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__MEDIA__TIMEOUT", "3s")];
    let app = TestApp::start_with(&short).await;
    app.link(PERSON).await;
    (gateway, app)
}

/// A person sends a file that is at this address.
async fn send(app: &TestApp, url: &str, content_type: &str) {
    let form = [("From", PERSON), ("NumMedia", "1"), ("MediaUrl0", url), ("MediaContentType0", content_type)];
    assert_eq!(app.inject(&form).await, Some(200));
    app.drained_well().await;
}

/// What administrators see of the last message's file.
async fn seen(app: &TestApp) -> Value {
    let (status, messages) = app.admin(Method::GET, "/messages?limit=1", Value::Null).await;
    assert_eq!(status, 200, "{messages}");
    messages["messages"][0]["attachments"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_seen_a_contact_is_read_and_other_files_are_named() {
    let (gateway, app) = start().await;
    let picture = app.sandbox.add_media("image/gif", PIXEL.to_vec());
    let card = app.sandbox.add_media("text/vcard", CARD.to_vec());
    let audio = app.sandbox.add_media("audio/ogg", vec![7; 100]);
    let disguised = app.sandbox.add_media("image/png", b"<html>not a picture</html>".to_vec());

    app.inject(&[
        ("From", PERSON),
        ("Body", "Look"),
        ("NumMedia", "1"),
        ("MediaUrl0", &picture),
        ("MediaContentType0", "image/gif"),
    ])
    .await;
    app.drained_well().await;
    let of_picture = seen(&app).await;
    send(&app, &card, "text/vcard").await;
    send(&app, &audio, "audio/ogg; codecs=opus").await;
    let of_audio = seen(&app).await;
    send(&app, &disguised, "image/png").await;
    let of_disguised = seen(&app).await;

    let chats = gateway.chats();
    assert_eq!(
        (chats[0].text.as_str(), chats[0].channel.as_deref()),
        ("Look\n[picture (image/gif, 1 KB)]", Some("whatsapp"))
    );
    assert_eq!(chats[0].pictures, [format!("data:image/gif;base64,{}", STANDARD.encode(PIXEL))]);
    assert_eq!(
        of_picture,
        json!({ "index": 0, "contentType": "image/gif", "state": "shown", "sizeBytes": PIXEL.len(), "reason": null })
    );
    assert_eq!(chats[1].text, "[contact: Jane Doe; tel +15005550199]");
    assert_eq!(chats[2].text, "[audio message (audio/ogg), not transcribed]");
    assert_eq!((&of_audio["state"], &of_audio["sizeBytes"]), (&json!("named"), &Value::Null));
    assert_eq!(chats[3].text, "[picture (image/png), could not be shown: it is no picture]");
    assert_eq!(of_disguised["state"], "refused");
    assert!(chats[1..].iter().all(|chat| chat.pictures.is_empty()));
    let (_, thread) = app
        .product(Method::GET, &format!("/users/{}/messages", PERSON.replace('+', "%2B")), Value::Null)
        .await;
    assert_eq!(thread["messages"][0]["text"], "Look\n[picture (image/gif)]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_picture_is_seen_as_a_whole() {
    const BYTES: usize = 8_600_000;
    let (gateway, app) = start().await;
    app.sandbox.set_faults(Faults { media_size_bytes: Some(BYTES as u64), ..Faults::default() });

    let picture = app.sandbox.add_media("image/gif", PIXEL.to_vec());
    send(&app, &picture, "image/gif").await;

    let encoded = gateway.chats()[0].pictures[0].strip_prefix("data:image/gif;base64,").unwrap().len();
    assert_eq!(encoded, BYTES.div_ceil(3) * 4);
    assert_eq!(seen(&app).await["state"], "shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_buttons_replies_and_forwards_become_words() {
    let (gateway, app) = start().await;
    app.write(PERSON, "Hello").await;
    app.drained_well().await;
    let ours = app.sandbox.sent_to(PERSON)[0].sid.clone();

    for form in [
        vec![
            ("Latitude", "52.5163"),
            ("Longitude", "13.3777"),
            ("Label", "Brandenburger Tor"),
            ("MessageType", "location"),
        ],
        vec![("Body", "Yes"), ("ButtonText", "Yes"), ("ButtonPayload", "yes_1"), ("MessageType", "button")],
        vec![("Body", "What do you mean?"), ("OriginalRepliedMessageSid", &ours), ("Forwarded", "true")],
        vec![("MessageType", "poll")],
    ] {
        let mut given = vec![("From", PERSON)];
        given.extend(form);
        app.inject(&given).await;
        app.drained_well().await;
    }

    let texts: Vec<String> = gateway.chats().into_iter().map(|chat| chat.text).collect();
    assert_eq!(
        texts,
        [
            "Hello",
            "[location: 52.5163, 13.3777; Brandenburger Tor]",
            "[pressed the button: Yes; yes_1]",
            "[in reply to: \"Yes.\"]\n[forwarded]\nWhat do you mean?",
            "[a message of the kind \"poll\", which cannot be shown]",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_there_yet_is_waited_for_and_one_that_never_comes_is_told() {
    let (gateway, app) = start().await;
    app.sandbox.set_faults(Faults { media_missing_ms: 900, ..Faults::default() });
    let late = app.sandbox.add_media("image/gif", PIXEL.to_vec());
    send(&app, &late, "image/gif").await;
    let of_late = seen(&app).await;

    app.sandbox.set_faults(Faults { media_missing_ms: 60_000, ..Faults::default() });
    let never = app.sandbox.add_media("image/gif", PIXEL.to_vec());
    send(&app, &never, "image/gif").await;
    let of_never = seen(&app).await;

    assert_eq!(of_late["state"], "shown", "{of_late}");
    assert_eq!(of_never["state"], "failed", "{of_never}");
    let told = &gateway.chats()[1].text;
    assert!(told.starts_with("[picture (image/gif), could not be shown: "), "{told}");
    assert_eq!(app.said_to(PERSON), ["Yes.", "Yes."], "a missing file keeps nobody waiting for an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_whose_webhook_never_came_is_seen_all_the_same() {
    let gateway = Gateway::chatting(|_, _| Run::Say("Yes.", Duration::ZERO)).await;
    let mut app = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", gateway.url.as_str()),
        ("CLOUDYBOT__BACKFILL__EVERY", "1s"),
        ("CLOUDYBOT__BACKFILL__SETTLE", "0s"),
    ])
    .await;
    app.link(PERSON).await;
    let picture = app.sandbox.add_media("image/gif", PIXEL.to_vec());

    app.kill();
    app.inject(&[("From", PERSON), ("Body", "Look"), ("MediaUrl0", &picture), ("deliver", "false")]).await;
    app.launch().await;
    app.replies(PERSON, 1).await;

    let chat = &gateway.chats()[0];
    assert_eq!((chat.text.as_str(), chat.pictures.len()), ("Look\n[picture (image/gif, 1 KB)]", 1));
}

/// Counts who knocks.
struct Door {
    address: SocketAddr,
    knocks: Arc<AtomicUsize>,
    listening: tokio::task::JoinHandle<()>,
}

impl Door {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, knocks) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = knocks.clone();
        let listening = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, knocks, listening }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_elsewhere_or_is_too_much_is_refused_with_a_reason_and_no_credentials_leave() {
    let (gateway, app) = start().await;
    let door = Door::open().await;
    let path = format!("2010-04-01/Accounts/{ACCOUNT_SID}/Messages/MM1/Media/ME1");
    let mut told = Vec::new();

    send(&app, &format!("http://{}/{path}", door.address), "image/gif").await;
    told.push(seen(&app).await);
    for faults in [
        Faults { media_redirect: Some(format!("http://{}/secret", door.address)), ..Faults::default() },
        Faults { media_redirect: Some("https://10.0.0.1/secret".to_owned()), ..Faults::default() },
        Faults { media_size_bytes: Some(60 * 1024 * 1024), ..Faults::default() },
        Faults { media_drip_ms: 200, ..Faults::default() },
    ] {
        app.sandbox.set_faults(faults);
        let url = app.sandbox.add_media("image/gif", [PIXEL, &[0; 400]].concat());
        send(&app, &url, "image/gif").await;
        told.push(seen(&app).await);
    }

    assert_eq!(door.knocks.load(Ordering::SeqCst), 0, "nobody was asked, so nobody saw credentials");
    let states: Vec<&str> = told.iter().map(|file| file["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["refused", "refused", "refused", "refused", "failed"], "{told:#?}");
    assert!(told.iter().all(|file| file["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
    let chats = gateway.chats();
    assert_eq!(chats.len(), 5);
    for (chat, file) in chats.iter().zip(&told) {
        assert!(chat.pictures.is_empty());
        assert!(
            chat.text.contains(file["reason"].as_str().unwrap()),
            "the agent is told, too: {}",
            chat.text
        );
    }
    assert!(!app.logged().contains("/secret"));
}
#[tokio::test(flavor = "multi_thread")]
async fn people_see_that_they_are_read_and_answered_and_nothing_depends_on_it() {
    let told = Arc::new(Semaphore::new(0));
    let words = told.clone();
    let gateway = Gateway::chatting(move |_, _| Run::SayWhenTold("Yes.", words.clone())).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    app.write(PERSON, "Hello").await;
    let is_typing = |message: &SandboxMessage| message.typing_at.is_some();
    app.until("the person sees it", async || app.sandbox.messages().iter().any(is_typing)).await;
    told.add_permits(1);
    app.replies(PERSON, 1).await;
    app.sandbox.set_faults(Faults { typing_error: 1.0, ..Faults::default() });
    app.write(PERSON, "Hello again").await;
    told.add_permits(1);
    app.replies(PERSON, 2).await;
    app.drained_well().await;

    let shown: Vec<bool> =
        app.sandbox.messages().iter().filter(|message| message.is_inbound()).map(is_typing).collect();
    assert_eq!(shown, [true, false]);
    assert_eq!(gateway.chats().len(), 2);
}
