//! People who hide their number, on an account that cannot write to their ids.

use sandbox::faults::Faults;

use crate::support::{API_KEY, API_SECRET, PERSON, TestApp};

const HIDDEN: &str = "whatsapp:US.abcDEF123456";

fn ids_refused() -> Faults {
    Faults { ids_refused: 1.0, ..Faults::default() }
}

/// A linked person of whom number and id are known, and who wrote last under the id.
async fn known_by_both(env: &[(&str, &str)]) -> TestApp {
    let app = TestApp::start_with(env).await;
    app.claim("alice", PERSON).await;
    app.inject(&[("From", PERSON), ("ExternalUserId", HIDDEN), ("Body", "one")]).await;
    app.replies(PERSON, 2).await;
    app.drained_well().await;
    app
}

/// How each attempt at the last reply ended.
async fn attempts(app: &TestApp) -> String {
    app.text("SELECT coalesce(string_agg(coalesce(outcome, '-'), ' ' ORDER BY attempt), '') FROM channel_send_attempts WHERE chunk_id = (SELECT max(id) FROM channel_chunks)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_an_id_goes_to_the_number_once() {
    // With an API key, by the way: the sandbox takes it as Twilio does.
    let app = known_by_both(&[("TWILIO_API_KEY", API_KEY), ("TWILIO_API_SECRET", API_SECRET)]).await;
    app.sandbox.set_faults(ids_refused());

    app.inject(&[("From", HIDDEN), ("Body", "two")]).await;
    let replies = app.replies(PERSON, 3).await;
    app.drained_well().await;

    assert_eq!(replies[2].body, "You said: two");
    assert!(app.sandbox.sent_to(HIDDEN).is_empty());
    assert_eq!(attempts(&app).await, "refused accepted");
    assert_eq!(app.count("SELECT count(*) FROM channel_double_sends").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_number_too_or_of_an_id_alone_is_final() {
    let app = known_by_both(&[]).await;
    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() });

    app.inject(&[("From", HIDDEN), ("Body", "two")]).await;
    app.until("the reply has failed", async || attempts(&app).await == "refused refused").await;
    app.drained().await;
    assert_eq!(app.text("SELECT state FROM channel_chunks ORDER BY id DESC LIMIT 1").await, "failed");

    let app = TestApp::start().await;
    app.link(HIDDEN).await;
    app.sandbox.set_faults(ids_refused());
    app.write(HIDDEN, "Hello").await;
    app.until("the reply has failed", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'failed'").await == Some(1)
    })
    .await;
    assert_eq!(attempts(&app).await, "refused");
    app.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_between_the_id_and_the_number_sends_once() {
    let mut app = known_by_both(&[]).await;
    app.sandbox.set_faults(Faults { delay_ms: 700, ..ids_refused() });

    app.inject(&[("From", HIDDEN), ("Body", "two")]).await;
    app.until("the id was refused", async || {
        app.count("SELECT count(*) FROM channel_send_attempts WHERE outcome = 'refused'").await == Some(1)
    })
    .await;
    app.kill();
    app.launch().await;
    app.replies(PERSON, 3).await;
    app.drained_well().await;

    assert_eq!(app.sandbox.sent_to(PERSON).len(), 3);
    assert!(app.sandbox.sent_to(HIDDEN).is_empty());
}
