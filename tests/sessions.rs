//! A turn that is asked for again, at a gateway that keeps conversations.

use std::time::Duration;

use serde_json::json;

use crate::agent::turns_of;
use crate::gateway::{Gateway, Run};
use crate::support::{PERSON, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_told_a_question_once_though_we_crash_in_the_turn_or_a_run_fails() {
    let gateway = Gateway::remembering(|chat, before| match chat.text.as_str() {
        "Where is the key?" if before == 0 => Run::Hang,
        "And the lock?" => Run::InternalError,
        _ => Run::Say("Here.", Duration::ZERO),
    })
    .await;
    let mut app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    app.write(PERSON, "Where is the key?").await;
    app.until("the agent is asked", async || !gateway.chats().is_empty()).await;
    app.kill();
    app.launch().await;
    app.replies(PERSON, 1).await;
    app.write(PERSON, "And the lock?").await;
    app.replies(PERSON, 2).await;
    app.write(PERSON, "Thank you.").await;
    app.replies(PERSON, 3).await;
    app.drained_well().await;

    let chats = gateway.chats();
    assert_eq!(chats.len(), 5);
    for (question, from) in [("Where is the key?", 0), ("And the lock?", 2)] {
        let times = chats[from..].iter().map(|chat| chat.told.join("\n").matches(question).count());
        assert_eq!(times.collect::<Vec<_>>(), vec![1; 5 - from], "{question}");
    }
    assert!(chats[3].text.contains("did not reach me"), "the gateway has the question: {}", chats[3].text);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_that_a_gateway_does_not_pass_on_is_one_call_and_no_apology() {
    let gateway = Gateway::remembering(|_, _| Run::Silence).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    app.write(PERSON, "No answer, please.").await;
    app.drained_well().await;

    let turn = &turns_of(&app, PERSON).await[0];
    assert_eq!(turn["state"], json!("silent"), "{turn}");
    assert!(app.said_to(PERSON).is_empty());
    assert_eq!(gateway.chats().len(), 1);
}
