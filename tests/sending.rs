//! The way out, with Twilio misbehaving: each chunk goes out once.

use sandbox::faults::Faults;

use crate::support::{ACCOUNT_SID, PERSON, TestApp};

/// Writes under these faults; whatever happens, one reply goes out.
async fn one_reply_despite(faults: Faults, still_faulty: impl AsyncFn(&TestApp)) -> TestApp {
    let app = TestApp::start().await;
    app.sandbox.set_faults(faults);
    app.write(PERSON, "Hello").await;
    still_faulty(&app).await;
    app.sandbox.set_faults(Faults::default());
    app.replies(PERSON, 1).await;
    app.drained_well().await;
    assert_eq!(app.sandbox.sent_to(PERSON).len(), 1);
    app
}

/// Until the first attempt has ended in this way.
async fn first_attempt_is(app: &TestApp, outcome: &'static str) {
    app.until("the first attempt has ended", async || {
        let ended: Option<Option<String>> =
            sqlx::query_scalar("SELECT outcome FROM channel_send_attempts WHERE attempt = 1")
                .fetch_optional(&app.pg)
                .await
                .unwrap();
        ended.flatten().is_some_and(|ended| ended == outcome)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_was_turned_away_is_sent_again() {
    let faults = Faults { rate_limited: 1.0, retry_after_secs: Some(1), ..Faults::default() };

    let app = one_reply_despite(faults, async |app: &TestApp| first_attempt_is(app, "not_sent").await).await;

    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY attempt) FROM channel_send_attempts").await,
        "not_sent accepted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_arrived_although_it_was_answered_with_an_error_is_not_sent_again() {
    let faults = Faults { error_after: 1.0, callback_lost: 1.0, ..Faults::default() };

    let app = one_reply_despite(faults, async |app: &TestApp| first_attempt_is(app, "in_doubt").await).await;

    assert_eq!(app.count("SELECT attempt::BIGINT FROM channel_chunks").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_whose_connection_broke_after_it_arrived_is_found_in_the_list() {
    let faults = Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() };

    let app = one_reply_despite(faults, async |app: &TestApp| first_attempt_is(app, "in_doubt").await).await;

    assert_eq!(app.count("SELECT attempt::BIGINT FROM channel_chunks").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_found_in_a_list_that_shows_no_bodies() {
    let lost = Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() };
    let app = TestApp::start().await;
    app.sandbox.set_faults(lost.clone());

    app.write(PERSON, "Hello").await;
    first_attempt_is(&app, "in_doubt").await;
    app.sandbox.set_faults(Faults { redacted: 1.0, callback_lost: 1.0, ..Faults::default() });
    app.drained_well().await;

    assert_eq!(app.sandbox.sent_to(PERSON).len(), 1);
    assert_eq!(app.text("SELECT sid FROM channel_chunks").await, app.sandbox.sent_to(PERSON)[0].sid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_found_under_the_other_spelling_of_its_number() {
    const MEXICAN: &str = "whatsapp:+5215512345678";
    let app = TestApp::start().await;
    app.claim("maria", MEXICAN).await;
    app.sandbox.set_faults(Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() });

    app.inject(&[("From", MEXICAN), ("Body", "Hello")]).await;
    app.until("the send is in doubt", async || {
        app.count("SELECT count(*) FROM channel_send_attempts WHERE outcome = 'in_doubt'").await == Some(1)
    })
    .await;
    app.sandbox.set_faults(Faults { filed_short: 1.0, callback_lost: 1.0, ..Faults::default() });
    app.drained_well().await;

    assert_eq!(app.sandbox.sent_to(MEXICAN).len(), 2, "the confirmation and the reply");
    assert_eq!(app.count("SELECT max(attempt)::BIGINT FROM channel_chunks").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_found_in_a_list_with_entries_that_cannot_be_used() {
    let app = TestApp::start().await;
    app.sandbox.set_faults(Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() });

    app.write(PERSON, "Hello").await;
    first_attempt_is(&app, "in_doubt").await;
    let strange =
        vec![serde_json::json!({ "sid": "SM1", "date_created": null, "status": null }), serde_json::json!(7)];
    app.sandbox.set_faults(Faults { list_entries: strange, callback_lost: 1.0, ..Faults::default() });
    app.drained_well().await;

    assert_eq!(app.count("SELECT count(*) FROM channel_chunks WHERE sid IS NOT NULL").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_that_were_answered_without_their_sid_are_found_in_the_list() {
    let missing = Faults { sid_missing: 1.0, callback_lost: 1.0, ..Faults::default() };
    let wrong = Faults { sid_of_another: 1.0, callback_lost: 1.0, ..Faults::default() };
    for faults in [missing, wrong] {
        let app = TestApp::start().await;
        // Its message is the one whose SID the wrong answers name.
        app.write(PERSON, "First").await;
        app.drained_well().await;
        app.sandbox.set_faults(faults.clone());

        app.write(PERSON, "/long 4000").await;
        app.drained_well().await;

        let sent: Vec<String> = app.sandbox.sent_to(PERSON).into_iter().map(|message| message.sid).collect();
        assert_eq!(sent.len(), 4, "{faults:?}");
        let known = app.text("SELECT string_agg(sid, ' ' ORDER BY id) FROM channel_chunks").await;
        assert_eq!(known, sent.join(" "), "{faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_are_tried_again_by_twilio_when_we_are_away() {
    let app = TestApp::start().await;

    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;

    let callback = app.sandbox.sent_to(PERSON)[0].status_callback.clone().unwrap();
    let delivery = app.text("SELECT delivery_id::TEXT FROM channel_chunks").await;
    assert!(callback.ends_with(&format!("?chunk=1&attempt=1&delivery={delivery}#rc=5&rp=all")), "{callback}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_proves_a_send_whose_answer_was_lost() {
    let faults = Faults { drop_after: 1.0, ..Faults::default() };
    let app = TestApp::start_with(&[("CLOUDYBOT__TWILIO__IN_DOUBT_GRACE", "1h")]).await;
    app.sandbox.set_faults(faults);

    app.write(PERSON, "Hello").await;
    app.until("the chunk is delivered", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'delivered'").await == Some(1)
    })
    .await;
    app.drained_well().await;

    assert_eq!(app.sandbox.sent_to(PERSON).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_for_a_send_that_was_turned_away_lets_those_behind_it_go_out() {
    let app = TestApp::start().await;
    app.sandbox.set_faults(Faults { rate_limited: 1.0, retry_after_secs: Some(3600), ..Faults::default() });
    app.write(PERSON, "Hello").await;
    app.until("the job waits for its next attempt", async || {
        app.count("SELECT count(*) FROM queue.jobs WHERE kind = 'send_chunk' AND state = 'scheduled'").await
            == Some(1)
    })
    .await;
    app.sandbox.set_faults(Faults::default());

    let path = "/webhooks/whatsapp/status?chunk=1&attempt=1";
    let form = [
        ("AccountSid", ACCOUNT_SID),
        ("MessageSid", "SM00000000000000000000000000000009"),
        ("MessageStatus", "sent"),
    ];
    let answer = app.post(path, &form, Some(&app.sign(path, &form))).await;
    assert_eq!(answer.status(), 204);
    app.write(PERSON, "And now?").await;
    app.drained_well().await;

    assert_eq!(app.text("SELECT state FROM channel_chunks WHERE id = 1").await, "sent");
    assert_eq!(app.sandbox.sent_to(PERSON).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_a_forgotten_delivery_says_nothing_of_whoever_has_its_chunks_number_now() {
    let app = TestApp::start().await;
    app.sandbox.set_faults(Faults { rate_limited: 1.0, retry_after_secs: Some(3600), ..Faults::default() });
    app.write(PERSON, "Hello").await;
    app.until("the job waits for its next attempt", async || {
        app.count("SELECT count(*) FROM queue.jobs WHERE kind = 'send_chunk' AND state = 'scheduled'").await
            == Some(1)
    })
    .await;

    // As after a failover that lost the first chunk 1.
    let path = "/webhooks/whatsapp/status?chunk=1&attempt=1&delivery=01890a5d-ac96-774b-bcce-b302099a8057";
    let form = [
        ("AccountSid", ACCOUNT_SID),
        ("ErrorCode", "63003"),
        ("MessageSid", "SM00000000000000000000000000000009"),
        ("MessageStatus", "undelivered"),
        ("To", "whatsapp:+15005550177"),
    ];
    let answer = app.post(path, &form, Some(&app.sign(path, &form))).await;

    assert_eq!(answer.status(), 204);
    assert_eq!(app.text("SELECT concat(state, sid) FROM channel_chunks WHERE id = 1").await, "planned");
    let kept = "SELECT concat(chunk_id, params->>'To') FROM channel_status_callbacks";
    assert_eq!(app.text(kept).await, "whatsapp:+1500…0177");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_never_arrived_is_sent_again_after_two_lists_without_it() {
    let faults = Faults { drop_before: 1.0, ..Faults::default() };

    let app = one_reply_despite(faults, async |app: &TestApp| first_attempt_is(app, "in_doubt").await).await;

    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY attempt) FROM channel_send_attempts").await,
        "missed accepted"
    );
    let apart = app.count("SELECT (extract(epoch FROM b.started_at - a.first_miss_at) * 1000)::BIGINT FROM channel_send_attempts a, channel_send_attempts b WHERE a.attempt = 1 AND b.attempt = 2").await;
    assert!(apart >= Some(500), "the lists were {apart:?} ms apart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_arrives_after_its_client_gave_up_is_not_sent_again() {
    let faults = Faults { accept_late: 1.0, accept_late_ms: 2200, callback_lost: 1.0, ..Faults::default() };

    let app = one_reply_despite(faults, async |app: &TestApp| {
        first_attempt_is(app, "in_doubt").await;
    })
    .await;

    assert_eq!(app.count("SELECT attempt::BIGINT FROM channel_chunks").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_twilio_refuses_fails_its_delivery() {
    let app = TestApp::start().await;
    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 63024, ..Faults::default() });

    app.write(PERSON, "/long 4000").await;
    app.until("the delivery has failed", async || {
        app.count("SELECT count(*) FROM channel_deliveries WHERE state = 'failed' AND reason IS NOT NULL")
            .await
            == Some(1)
    })
    .await;
    app.drained().await;

    assert_eq!(
        app.text("SELECT string_agg(state, ' ' ORDER BY index) FROM channel_chunks").await,
        "failed cancelled cancelled"
    );
    assert_eq!(app.text("SELECT error_code::TEXT FROM channel_chunks WHERE index = 0").await, "63024");
    assert!(app.sandbox.sent_to(PERSON).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_come_twice_or_in_the_wrong_order_do_no_harm() {
    let app = TestApp::start().await;
    app.sandbox.set_faults(Faults { callback_doubled: 1.0, callback_reordered: 1.0, ..Faults::default() });

    app.write(PERSON, "Hello").await;
    app.until("all four callbacks have come", async || {
        app.count("SELECT count(*) FROM channel_status_callbacks").await == Some(4)
    })
    .await;
    app.drained_well().await;

    assert_eq!(app.text("SELECT state FROM channel_chunks").await, "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deliveries_that_took_each_others_message_both_follow_its_callbacks() {
    let app = TestApp::start().await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 2).await;
    app.drained_well().await;
    let sids: Vec<String> = app.sandbox.sent_to(PERSON).into_iter().map(|sent| sent.sid).collect();

    // As after two sends in doubt with the same text, which were found in Twilio's list.
    sqlx::raw_sql(
        "CREATE TEMP TABLE was AS SELECT id, sid FROM channel_chunks;
         UPDATE channel_chunks SET sid = 'not ' || sid;
         UPDATE channel_chunks c SET sid = was.sid FROM was WHERE was.id = 3 - c.id",
    )
    .execute(&app.pg)
    .await
    .unwrap();
    for (chunk, sid) in (1..).zip(&sids) {
        let path = format!("/webhooks/whatsapp/status?chunk={chunk}&attempt=1");
        let form =
            [("AccountSid", ACCOUNT_SID), ("MessageSid", sid.as_str()), ("MessageStatus", "delivered")];
        let answer = app.post(&path, &form, Some(&app.sign(&path, &form))).await;
        assert_eq!(answer.status(), 204);
    }

    let deliveries = "SELECT string_agg(state, ' ') FROM channel_deliveries";
    assert_eq!(app.text(deliveries).await, "delivered delivered");
}
