//! Sends of which nobody knows whether they arrived: what a person is shown to judge them.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::json;

use super::{get, run_sql};
use crate::support::{PERSON, TestApp};

/// A reply of which nobody knows whether Twilio has it, with the times of production.
async fn reply_in_doubt(faults: Faults) -> TestApp {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__TWILIO__IN_DOUBT_GRACE", "60s"),
        ("CLOUDYBOT__TWILIO__IN_DOUBT_SECOND_LOOK", "30s"),
        ("CLOUDYBOT__TWILIO__SEND_DEADLINE", "20s"),
    ])
    .await;
    app.sandbox.set_faults(faults);
    app.write(PERSON, "Where is it?").await;
    app.until("nobody knows", async || {
        app.count("SELECT count(*) FROM channel_send_attempts WHERE outcome = 'in_doubt'").await == Some(1)
    })
    .await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_in_doubt_is_listed_at_once_with_all_that_a_person_needs_to_judge_it() {
    let app = reply_in_doubt(Faults { drop_before: 1.0, ..Faults::default() }).await;

    let list = get(&app, "/chunks/in-doubt").await;
    let asked = get(&app, "/chunks/in-doubt?askTwilio=true").await;
    let story = get(&app, "/messages/1/story").await;
    let (_, told) = app.command(&["chunks", "in-doubt"]).await;

    let doubt = &list["chunks"][0];
    assert_eq!(
        (&doubt["user"], &doubt["number"], &doubt["state"]),
        (&json!(PERSON), &json!("+15005550100"), &json!("sending"))
    );
    assert!(doubt["text"].as_str().unwrap().contains("Where is it?"), "{doubt}");
    assert_eq!(doubt["sendAttempts"][0]["outcome"], "in_doubt");
    assert!(doubt["since"].is_string() && doubt["until"].is_string() && doubt["twilio"].is_null(), "{doubt}");
    assert!(doubt["tried"][0].as_str().unwrap().contains("looks at Twilio's list"), "{doubt}");
    assert!(
        doubt["verdicts"]["sendAgain"].as_str().unwrap().starts_with("it is sent again at once"),
        "{doubt}"
    );
    let says = asked["chunks"][0]["twilio"]["says"].as_str().unwrap();
    assert!(says.starts_with("Twilio does not have it yet"), "{says}");
    let verdict = story["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("Nobody knows") && verdict.contains(", for "), "{story}");
    assert!(story["remedy"].as_str().unwrap().contains("cloudybot chunks verdict 1"), "{story}");
    assert!(told.contains("+15005550100") && told.contains("if send-again"), "{told}");
    assert_eq!(app.text("SELECT state FROM channel_chunks").await, "sending");
    let log = app.logged();
    assert!(!log.contains("+15005550100") && !log.contains("Where is it?"), "{log}");
    // It ends within the test.
    app.sandbox.set_faults(Faults::default());
    let (status, _) = app.admin(Method::POST, "/chunks/1/verdict", json!({ "verdict": "sendAgain" })).await;
    assert_eq!(status, 200);
    app.replies(PERSON, 1).await;
    app.drained().await;
    let story = get(&app, "/messages/1/story").await;
    let steps: Vec<&str> =
        story["steps"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
    let place = |words: &str| {
        steps.iter().position(|step| step.contains(words)).unwrap_or_else(|| panic!("{words}: {steps:#?}"))
    };
    let in_order = [
        place("attempt 1: handed to Twilio"),
        place("attempt 1: nobody knows whether Twilio took it"),
        place("says of it: send_again; until then it was in doubt for "),
        place("attempt 2: Twilio took it as "),
    ];
    assert!(in_order.is_sorted(), "{steps:#?}");
    let audit = "SELECT concat(actor, ' ', action, ' ', target, ': ', before, ' ', after) FROM queue.audit";
    assert_eq!(app.text(audit).await, "administrator verdict chunk 1: sending send_again");
}

#[tokio::test(flavor = "multi_thread")]
async fn twilios_list_names_the_message_that_a_send_in_doubt_has_become() {
    let app = reply_in_doubt(Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() }).await;
    let sid = app.replies(PERSON, 1).await[0].sid.clone();

    let asked = get(&app, "/chunks/in-doubt?askTwilio=true").await;
    run_sql(&app, "UPDATE channel_deliveries SET expires_at = now()").await;
    let late = get(&app, "/chunks/in-doubt").await;

    let twilio = &asked["chunks"][0]["twilio"];
    assert_eq!(twilio["says"], format!("Twilio has it, as {sid}"));
    assert_eq!(
        (&twilio["candidates"][0]["sid"], twilio["candidates"].as_array().unwrap().len()),
        (&json!(sid), 1)
    );
    assert_eq!(app.text("SELECT state FROM channel_chunks").await, "sending");
    let send_again = late["chunks"][0]["verdicts"]["sendAgain"].as_str().unwrap();
    assert!(send_again.starts_with("it is not sent again: its time was over"), "{send_again}");
}
