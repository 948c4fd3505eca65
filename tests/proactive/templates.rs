//! Templates whose send is in doubt: Twilio lists the rendered text, which nobody here knows.

use sandbox::faults::Faults;
use serde_json::{Value, json};

use super::{alice, delivery, notify, sends};
use crate::support::{ACCOUNT_SID, AUTH_TOKEN, NUMBER, PERSON, TestApp};

/// Alice, whose 24-hour window is closed.
async fn alice_outside_the_window(app: &TestApp) {
    alice(app, "pro").await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
}

async fn notify_by_template(app: &TestApp) -> Value {
    let template = json!({ "contentSid": format!("HX{}", "a".repeat(32)), "variables": { "1": "Alice" } });
    notify(app, json!({ "text": "Hello", "template": template })).await
}

/// How many templates Twilio was given.
fn templates(app: &TestApp) -> usize {
    app.sandbox.sent_to(PERSON).iter().filter(|message| message.content_sid.is_some()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_whose_answer_and_callbacks_were_lost_is_found_in_the_list() {
    let app = TestApp::start().await;
    alice_outside_the_window(&app).await;
    app.sandbox.set_faults(Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() });

    let planned = notify_by_template(&app).await;
    app.until("Twilio has it", async || templates(&app) == 1).await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    app.drained_well().await;

    let shown = delivery(&app, &planned["id"]).await;
    assert_eq!(shown["chunks"][0]["sid"], app.sandbox.sent_to(PERSON)[1].sid);
    assert_eq!((templates(&app), &sends(&app).await["used"]), (1, &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_was_taken_in_while_the_process_was_killed_is_found_in_the_list() {
    let mut app = TestApp::start().await;
    alice_outside_the_window(&app).await;
    app.sandbox.set_faults(Faults { answer_after_ms: 60_000, callback_lost: 1.0, ..Faults::default() });

    notify_by_template(&app).await;
    // Twilio takes it in before it answers, so the process dies without an answer.
    app.until("Twilio has it", async || templates(&app) == 1).await;
    app.kill();
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    app.launch().await;
    app.drained_well().await;

    assert_eq!((templates(&app), &sends(&app).await["used"]), (1, &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_not_the_only_candidate_stays_in_doubt() {
    let app = TestApp::start().await;
    alice_outside_the_window(&app).await;
    app.sandbox.set_faults(Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() });

    let planned = notify_by_template(&app).await;
    app.until("Twilio has it", async || templates(&app) == 1).await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    // Somebody else who writes for the same sender, a support desk say.
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", app.sandbox.base_url());
    let form = [("To", PERSON), ("From", NUMBER), ("Body", "Can we help you?")];
    let answer =
        app.http.post(url).basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN)).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    app.drained_well().await;

    let shown = delivery(&app, &planned["id"]).await;
    assert_eq!((&shown["chunks"][0]["state"], templates(&app)), (&json!("sending"), 1));
    assert!(
        app.text("SELECT detail FROM channel_alerts WHERE cause = 'send_in_doubt'").await.contains("several")
    );
}
