//! How fast people may write.

use crate::support::{PERSON, TestApp};

const SLOW: [(&str, &str); 2] =
    [("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "1"), ("CLOUDYBOT__LIMITS__PER_SENDER_BURST", "3")];

#[tokio::test(flavor = "multi_thread")]
async fn a_person_at_the_limit_gets_one_notice_and_no_agent() {
    let app = TestApp::start_with(&SLOW).await;

    for number in 0..8 {
        assert_eq!(app.write(PERSON, &format!("message {number}")).await, Some(200));
        app.drained_well().await;
    }

    let said = app.said_to(PERSON);
    assert_eq!(said.iter().filter(|said| said.starts_with("You're writing faster")).count(), 1, "{said:?}");
    assert_eq!(said.len(), 4);
    assert_eq!(
        app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'rate_limited'").await,
        Some(5)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keywords_and_tokens_are_not_counted() {
    let app = TestApp::start_with(&SLOW).await;

    for body in ["one", "STOP", "START", "STOP", "stop browser", "LINK-AAAA-AAAA", "two", "three"] {
        app.write(PERSON, body).await;
        app.drained_well().await;
    }

    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'answered'").await, Some(3));
    assert_eq!(
        app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'rate_limited'").await,
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn three_receivers_share_the_count() {
    let mut app = TestApp::start_with(&SLOW).await;
    app.link(PERSON).await;
    let addresses = [app.launch_another().await, app.launch_another().await];

    for number in 0..9 {
        let sid = format!("SM{number}");
        let form = [("MessageSid", sid.as_str()), ("From", PERSON), ("Body", "Hello")];
        let signature = app.sign("/webhooks/whatsapp", &form);
        let url = match number % 3 {
            0 => app.url("/webhooks/whatsapp"),
            at => format!("http://{}/webhooks/whatsapp", addresses[at - 1]),
        };
        let request = app.http.post(url).form(&form).header("X-Twilio-Signature", signature);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    app.drained_well().await;

    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'answered'").await, Some(3));
    assert_eq!(
        app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'rate_limited'").await,
        Some(6)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_of_all_wait_and_none_is_dropped() {
    let app = TestApp::start_with(&[("CLOUDYBOT__LIMITS__TOTAL_PER_MIN", "600")]).await;

    // A hundred at once are let through, ten more each second.
    for number in 0..115 {
        app.write(&format!("whatsapp:+1500555{:04}", 1000 + number), "Hello").await;
    }
    app.drained_well().await;

    assert_eq!(
        app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'answered'").await,
        Some(115)
    );
}
