//! What becomes of a message after Twilio has it, told by callbacks or found in its list, and what that does to the allowance.

use sandbox::faults::Faults;
use serde_json::{Value, json};

use super::{alice, delivery, ledger_is_right, notify, sends};
use crate::support::{ACCOUNT_SID, PERSON, TestApp};

/// Reports a status of the first chunk, as Twilio would.
async fn report(app: &TestApp, status: &str, code: Option<&str>) {
    let sid = app.text("SELECT sid FROM channel_chunks WHERE meter_proactive").await;
    let path = "/webhooks/whatsapp/status";
    let mut form = vec![("AccountSid", ACCOUNT_SID), ("MessageSid", &sid), ("MessageStatus", status)];
    form.extend(code.map(|code| ("ErrorCode", code)));
    assert_eq!(app.post(path, &form, Some(&app.sign(path, &form))).await.status(), 204);
}

async fn credited(app: &TestApp) -> Value {
    ledger_is_right(app).await;
    sends(app).await["credited"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metered_message_that_fails_after_all_is_given_back_once() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    app.sandbox.set_faults(Faults { fail_later: 1.0, fail_later_code: 63024, ..Faults::default() });

    notify(&app, json!({ "text": "Hello" })).await;
    app.until("it is known to have failed", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'failed'").await == Some(1)
    })
    .await;

    let usage = sends(&app).await;
    assert_eq!(
        (&usage["used"], &usage["credited"], &usage["remaining"]),
        (&json!(1), &json!(1), &json!(200))
    );
    ledger_is_right(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_after_twilio_took_it_is_sent_anew_by_hand_and_counted_again() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    app.sandbox.set_faults(Faults { fail_later: 1.0, fail_later_code: 63009, ..Faults::default() });
    let planned = notify(&app, json!({ "text": "Hello" })).await;
    app.until("it is known to have failed", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'failed'").await == Some(1)
    })
    .await;
    app.sandbox.set_faults(Faults::default());
    let id = planned["id"].as_str().unwrap();
    let (_, story) = app.command(&["story", id]).await;
    assert!(story.contains(&format!("`cloudybot deliveries resend {id}`")), "{story}");

    let (resent, told) = app.command(&["deliveries", "resend", id]).await;
    app.until("it has arrived", async || {
        app.count(
            "SELECT count(*) FROM channel_deliveries WHERE state = 'delivered' AND purpose = 'notification'",
        )
        .await
            == Some(1)
    })
    .await;
    let (again, refused) = app.command(&["deliveries", "resend", id]).await;

    assert!(resent && told.contains("in 1 chunk"), "{told}");
    assert!(!again && refused.contains("resent already"), "{refused}");
    let usage = sends(&app).await;
    assert_eq!(
        (&usage["used"], &usage["credited"], &usage["remaining"]),
        (&json!(2), &json!(1), &json!(199))
    );
    ledger_is_right(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_is_taken_back_when_the_message_was_delivered_after_all() {
    let app = TestApp::start().await;
    alice(&app, "pro").await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    let planned = notify(&app, json!({ "text": "Hello" })).await;
    app.drained_well().await;

    report(&app, "undelivered", Some("63016")).await;
    assert_eq!(credited(&app).await, 1);
    report(&app, "delivered", None).await;
    assert_eq!(credited(&app).await, 0);
    report(&app, "failed", Some("63016")).await;
    assert_eq!(credited(&app).await, 0);

    assert_eq!(delivery(&app, &planned["id"]).await["state"], "delivered");
    let events = "SELECT string_agg(event, ' ' ORDER BY id) FROM whatsapp_send_ledger";
    assert_eq!(app.text(events).await, "reserved used credited withdrawn");
    assert_eq!(sends(&app).await["used"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_whose_callback_was_lost_is_found_in_the_list() {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__BACKFILL__EVERY", "1s"),
        ("CLOUDYBOT__TWILIO__STATUS_LOOK_UPS", "[\"0s\", \"1s\", \"1h\"]"),
    ])
    .await;
    alice(&app, "pro").await;
    let faults = Faults { fail_later: 1.0, fail_later_code: 63016, callback_lost: 1.0, ..Faults::default() };
    app.sandbox.set_faults(faults);

    // More than are asked for one by one.
    let mut planned = Vec::new();
    for number in 0..25 {
        planned.push(notify(&app, json!({ "text": format!("Number {number}") })).await);
    }
    app.until("all are known to have failed", async || credited(&app).await == 25).await;

    for planned in planned {
        let shown = delivery(&app, &planned["id"]).await;
        assert_eq!((&shown["state"], &shown["chunks"][0]["errorCode"]), (&json!("failed"), &json!(63016)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_final_state_is_looked_up_a_few_times_and_then_left() {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__BACKFILL__EVERY", "1s"),
        ("CLOUDYBOT__TWILIO__STATUS_LOOK_UPS", "[\"0s\", \"1s\"]"),
    ])
    .await;
    alice(&app, "pro").await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    notify(&app, json!({ "text": "Hello" })).await;
    app.drained_well().await;
    let sid = app.sandbox.sent_to(PERSON).last().unwrap().sid.clone();
    // A phone that is off: Twilio says no more than that it has sent it.
    app.sandbox.set_faults(Faults {
        callback_lost: 1.0,
        fixed_status: Some((sid, "sent".to_owned())),
        ..Faults::default()
    });
    sqlx::raw_sql("UPDATE channel_chunks SET state = 'sent', status_look_ups = 0")
        .execute(&app.pg)
        .await
        .unwrap();

    app.until("it was looked up twice", async || {
        app.count("SELECT min(status_look_ups)::BIGINT FROM channel_chunks WHERE meter_proactive").await
            == Some(2)
    })
    .await;

    let unsettled =
        store::twilio_statuses::unsettled(&mut app.pg.acquire().await.unwrap(), 2, 0.0).await.unwrap();
    assert_eq!(app.text("SELECT state FROM channel_chunks WHERE meter_proactive").await, "sent");
    assert_eq!(app.count("SELECT count(*) FROM channel_alerts").await, Some(0));
    assert!(!unsettled.is_empty(), "it is left as it is");
}
