//! NUL, which no database keeps and no phone shows: it costs neither an answer nor the end of what has failed.

use std::time::Duration;

use sandbox::faults::Faults;

use crate::agent::{APOLOGY, turns_of};
use crate::gateway::{Gateway, Run};
use crate::support::{PERSON, TestApp};

const OTHER: &str = "whatsapp:+15005550101";

#[tokio::test(flavor = "multi_thread")]
async fn nul_in_an_answer_or_in_a_refusal_of_the_agents_costs_one_call() {
    let gateway = Gateway::chatting(|chat, _| match chat.text.as_str() {
        "answer" => Run::Say("The\0 answer.", Duration::ZERO),
        _ => Run::RefuseSaying(400, "bad\0 input"),
    })
    .await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    app.write(PERSON, "answer").await;
    app.write(OTHER, "refuse").await;
    app.drained().await;

    assert_eq!((app.said_to(PERSON), app.said_to(OTHER)), (vec!["The answer.".into()], vec![APOLOGY.into()]));
    assert_eq!(gateway.chats().len(), 2);
    assert_eq!(app.text("SELECT reply FROM channel_turns WHERE reply IS NOT NULL").await, "The answer.");
    let refused = &turns_of(&app, OTHER).await[0];
    assert!(refused["error"].as_str().unwrap().contains("bad input"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_in_a_refusal_of_twilios_ends_the_chunk() {
    let app = TestApp::start().await;
    app.sandbox.set_faults(Faults {
        refuse: 1.0,
        refuse_code: 21617,
        refuse_message: Some("too\0 long".to_owned()),
        ..Faults::default()
    });

    app.write(PERSON, "Hello").await;
    app.drained().await;

    assert_eq!(app.text("SELECT concat(state, ' ', attempt) FROM channel_chunks").await, "failed 1");
    let refused = "SELECT concat(outcome, ' ', error_code) FROM channel_send_attempts";
    assert_eq!(app.text(refused).await, "refused 21617");
    assert!(app.text("SELECT reason FROM queue.dead").await.contains("too long"));
}
