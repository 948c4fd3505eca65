//! What people send within moments of each other is one turn, whatever it is and in whatever order.

use std::time::Duration;

use crate::gateway::{Gateway, Run};
use crate::support::TestApp;

/// The smallest picture there is, a pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const PEOPLE: [&str; 4] =
    ["whatsapp:+15005550100", "whatsapp:+15005550101", "whatsapp:+15005550102", "whatsapp:+15005550103"];

/// One of the things that a person sends.
#[derive(Clone, Copy)]
enum Part {
    Picture,
    Place,
    Words(&'static str),
}

async fn send(app: &TestApp, from: &str, part: Part) {
    let status = match part {
        Part::Picture => {
            let url = app.sandbox.add_media("image/gif", PIXEL.to_vec());
            let picture = [("NumMedia", "1"), ("MediaUrl0", &url), ("MediaContentType0", "image/gif")];
            app.inject(&[&[("From", from)], &picture[..]].concat()).await
        }
        Part::Place => app.inject(&[("From", from), ("Latitude", "52.5"), ("Longitude", "13.4")]).await,
        Part::Words(words) => app.inject(&[("From", from), ("Body", words)]).await,
    };
    assert_eq!(status, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_places_and_words_that_come_together_are_one_turn_and_one_reply() {
    use Part::{Picture, Place, Words};
    let gateway = Gateway::chatting(|_, _| Run::Say("Yes.", Duration::ZERO)).await;
    let app = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &gateway.url),
        // Longer than a webhook takes on the busiest machine.
        ("CLOUDYBOT__AGENT__DEBOUNCE", "4s"),
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP", "60s"),
    ])
    .await;
    let cases: [(&[Part], usize); 4] = [
        (&[Picture, Picture, Picture, Picture, Words("Compare these")], 4),
        (&[Picture, Words("What is this?")], 1),
        (&[Place, Words("How far is it?")], 0),
        (&[Words("Look at these"), Picture, Picture], 2),
    ];
    for person in PEOPLE {
        app.link(person).await;
    }

    let sent = PEOPLE.iter().zip(cases).map(async |(person, (parts, _))| {
        for part in parts {
            send(&app, person, *part).await;
        }
    });
    futures::future::join_all(sent).await;
    app.drained_well().await;

    let chats = gateway.chats();
    assert_eq!(chats.len(), PEOPLE.len(), "{chats:?}");
    for (person, (parts, pictures)) in PEOPLE.into_iter().zip(cases) {
        assert_eq!(app.said_to(person), ["Yes."]);
        let words = parts.iter().find_map(|part| if let Words(words) = part { Some(*words) } else { None });
        let chat = chats.iter().find(|chat| chat.text.contains(words.unwrap())).unwrap();
        assert_eq!(chat.pictures.len(), pictures, "{}", chat.text);
        let places = parts.iter().filter(|part| matches!(part, Place)).count();
        assert_eq!(chat.text.matches("[location: 52.5, 13.4]").count(), places, "{}", chat.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_and_a_place_wait_as_long_as_words() {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__AGENT__DEBOUNCE", "1h"),
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP", "2h"),
    ])
    .await;

    for (person, part) in PEOPLE.into_iter().zip([Part::Picture, Part::Place, Part::Words("Hello")]) {
        app.link(person).await;
        send(&app, person, part).await;
    }
    let accepted = "SELECT count(*) FROM channel_messages WHERE accepted_at IS NOT NULL";
    app.until("all are accepted", async || app.count(accepted).await == Some(3)).await;

    let due = "SELECT count(*) FROM queue.jobs WHERE kind = 'answer' AND state = 'scheduled'
               AND run_at IN (SELECT received_at + interval '1 hour' FROM channel_messages)";
    assert_eq!(app.count(due).await, Some(3));
}
