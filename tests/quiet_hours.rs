//! Quiet hours: what is said of our own accord waits for their end or is dropped, when it is planned and right before it is sent.

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

const USER: &str = "alice";

async fn app() -> TestApp {
    // The upkeep comes every second.
    let app = TestApp::start_with(&[("CLOUDYBOT__BACKFILL__EVERY", "1s")]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim(USER, PERSON).await;
    app
}

/// Quiet hours of alice that cover now and end in about two hours, and when that is.
async fn be_quiet(app: &TestApp) -> DateTime<Utc> {
    let now = store::clock::now(&mut app.pg.acquire().await.unwrap()).await.unwrap();
    let end = now.with_second(0).unwrap().with_nanosecond(0).unwrap() + TimeDelta::hours(2);
    let from = now - TimeDelta::hours(1);
    let hours = json!({ "from": from.format("%H:%M").to_string(), "to": end.format("%H:%M").to_string() });
    set(app, json!({ "timezone": "UTC", "quietHours": hours })).await;
    end
}

async fn set(app: &TestApp, mut details: Value) {
    details["plan"] = "pro".into();
    let (status, answer) = app.product(Method::PUT, "/users/alice", details).await;
    assert_eq!(status, 200, "{answer}");
}

/// Quiet hours are over: alice has none any more, and what waits is due.
async fn be_awake(app: &TestApp) {
    set(app, json!({ "quietHours": null })).await;
    sqlx::query("UPDATE channel_deliveries SET waits_until = now() WHERE state = 'waiting'")
        .execute(&app.pg)
        .await
        .unwrap();
}

async fn notify(app: &TestApp, body: Value) -> Value {
    let (status, answer) = app.product(Method::POST, "/users/alice/notifications", body).await;
    assert_eq!(status, 202, "{answer}");
    delivery(app, answer["delivery"]["id"].as_str().unwrap()).await
}

async fn delivery(app: &TestApp, id: &str) -> Value {
    app.product(Method::GET, &format!("/deliveries/{id}"), Value::Null).await.1
}

async fn sends(app: &TestApp) -> (i64, i64) {
    let usage = app.product(Method::GET, "/users/alice/usage", Value::Null).await.1;
    let sends = &usage["whatsappSends"];
    (sends["used"].as_i64().unwrap(), sends["reserved"].as_i64().unwrap())
}

/// What was said since the link was confirmed.
fn said(app: &TestApp) -> usize {
    app.said_to(PERSON).len() - 1
}

fn schedule(keys: &str) -> String {
    format!(
        "cron = \"0 0 29 2 *\"\n{keys}\n[audience]\nuser = \"alice\"\n[content]\nmessage = \"It is on.\"\n"
    )
}

async fn load(app: &TestApp, keys: &str) {
    app.write_schedule("news", &schedule(keys));
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
}

async fn fire(app: &TestApp) {
    let (well, told) = app.command(&["schedules", "fire", "news"]).await;
    assert!(well, "{told}");
    app.until("the slot is done", async || {
        app.count("SELECT count(*) FROM channel_slots WHERE state = 'open'").await == Some(0)
    })
    .await;
}

const STATE: &str = "SELECT concat_ws(' ', state, reason) FROM channel_deliveries WHERE purpose = 'scheduled' ORDER BY created_at, id LIMIT 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_heeds_quiet_hours_waits_for_their_end_and_expires_later() {
    let app = app().await;
    let end = be_quiet(&app).await;

    let heedless = notify(&app, json!({ "text": "At once" })).await;
    let expires_at = end - TimeDelta::hours(1);
    let heeding =
        notify(&app, json!({ "text": "Later", "respectQuietHours": true, "expiresAt": expires_at })).await;
    app.until("the first one is sent, and what waits has no reservation", async || {
        sends(&app).await == (1, 0)
    })
    .await;
    let jobs = app.count("SELECT count(*) FROM queue.jobs WHERE kind = 'plan_quiet'").await;
    be_awake(&app).await;
    app.until("the second one is sent", async || sends(&app).await == (2, 0)).await;

    assert_eq!(heedless["state"], "open");
    assert_eq!((&heeding["state"], heeding["chunks"].as_array().unwrap().len()), (&json!("waiting"), 0));
    let moment = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(moment(&heeding["waitsUntil"]), end);
    let lasts = moment(&heeding["expiresAt"]) - end;
    assert!(lasts > TimeDelta::minutes(55) && lasts <= TimeDelta::hours(1), "{lasts}");
    assert_eq!(jobs, Some(1), "one job for the moment");
    assert_eq!(said(&app), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedules_message_waits_on_if_quiet_hours_become_longer_and_heeds_a_stop_meanwhile() {
    let app = app().await;
    be_quiet(&app).await;
    load(&app, "expires = \"30m\"").await;
    fire(&app).await;
    let first = app.text(STATE).await;

    // They are over by the old hours, and not by the new ones.
    sqlx::query("UPDATE channel_deliveries SET waits_until = now() WHERE state = 'waiting'")
        .execute(&app.pg)
        .await
        .unwrap();
    app.until("it waits for the new end", async || {
        app.count("SELECT count(*) FROM channel_deliveries WHERE waits_until > now() + interval '1 h' AND expires_at = waits_until + interval '30 min'").await == Some(1)
    })
    .await;
    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    app.until("the stop is confirmed", async || said(&app) == 1).await;
    be_awake(&app).await;
    app.until("it is planned", async || app.text(STATE).await.starts_with("blocked")).await;

    assert_eq!(first, "waiting");
    assert_eq!(app.text("SELECT concat_ws(' ', outcome, reason) FROM channel_slot_users").await, "planned");
    assert_eq!(app.text(STATE).await, "blocked opted_out");
    assert_eq!((said(&app), sends(&app).await), (1, (0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_dropped_in_quiet_hours_is_not_said_at_all() {
    let app = app().await;
    be_quiet(&app).await;
    load(&app, "quiet_hours = { then = \"skip\" }").await;

    fire(&app).await;

    assert_eq!(
        app.text("SELECT concat_ws(' ', outcome, reason) FROM channel_slot_users").await,
        "blocked quiet_hours"
    );
    assert_eq!(
        app.count("SELECT count(*) FROM channel_deliveries WHERE purpose = 'scheduled'").await,
        Some(0)
    );
    assert_eq!(app.count("SELECT count(*) FROM channel_turns WHERE slot_id IS NOT NULL").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_held_up_until_quiet_hours_is_put_off_with_its_reservation() {
    for (keys, state, put_off) in
        [("", "waiting", true), ("quiet_hours = { then = \"skip\" }", "blocked quiet_hours", false)]
    {
        let app = app().await;
        let pause = json!({ "scope": "pool", "name": "proactive" });
        app.admin(Method::POST, "/jobs/pause", pause.clone()).await;
        load(&app, keys).await;
        fire(&app).await;
        let before = sends(&app).await;

        be_quiet(&app).await;
        app.admin(Method::POST, "/jobs/resume", pause).await;
        app.until("it is judged again", async || app.text(STATE).await != "open").await;
        app.until("its job has ended", async || {
            app.count("SELECT count(*) FROM queue.jobs WHERE kind = 'send_chunk'").await == Some(0)
        })
        .await;

        assert_eq!(before, (0, 1));
        assert_eq!(app.text(STATE).await, state);
        assert_eq!((said(&app), sends(&app).await), (0, (0, 0)), "{keys}");
        let history = "SELECT string_agg(d.state || ' ' || d.reason || ' ' || c.state, ', ') FROM channel_deliveries d JOIN channel_chunks c ON c.delivery_id = d.id";
        if put_off {
            assert_eq!(app.text(history).await, "cancelled quiet_hours cancelled");
            be_awake(&app).await;
            app.until("it is sent", async || sends(&app).await == (1, 0)).await;
            assert_eq!(said(&app), 1);
        } else {
            assert_eq!(app.text(history).await, "blocked quiet_hours blocked");
        }
        let drift =
            store::allowances::audit(&mut app.pg.acquire().await.unwrap(), i64::MAX).await.unwrap().drift;
        assert!(drift.is_empty(), "{drift:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_has_begun_to_leave_is_finished() {
    let app = app().await;
    let slow = sandbox::faults::Faults { delay_ms: 700, ..Default::default() };
    app.sandbox.set_faults(slow);
    let words = "All work and no play makes a dull day. ".repeat(100);
    let text = schedule("").replace("It is on.", &words);
    app.write_schedule("news", &text);
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    fire(&app).await;
    app.until("Twilio has its first part", async || {
        let of_schedule =
            "SELECT count(*) FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
                           WHERE d.purpose = 'scheduled' AND c.state NOT IN ('planned', 'sending')";
        app.count(of_schedule).await >= Some(1)
    })
    .await;

    be_quiet(&app).await;
    app.until("all of it has arrived", async || app.text(STATE).await == "delivered").await;

    assert!(said(&app) >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_send_goes_to_one_user_now_is_marked_and_metered_and_counts_for_nothing_else() {
    let app = app().await;
    be_quiet(&app).await;
    load(&app, "").await;
    app.write_schedule("news", &schedule("").replace("user = \"alice\"", "plan = \"max\""));

    let unknown = app.command(&["schedules", "test", "news", "--user", "bob"]).await;
    let (well, told) = app.command(&["schedules", "test", "news", "--user", "alice"]).await;
    assert!(well, "{told}");
    app.until("it is said", async || sends(&app).await == (1, 0)).await;

    assert!(!unknown.0 && unknown.1.contains("there is no user \"bob\""), "{}", unknown.1);
    assert!(app.said_to(PERSON)[1].starts_with("[Test] It is on."), "{:?}", app.said_to(PERSON));
    assert_eq!(sends(&app).await, (1, 0));
    assert_eq!(
        app.text("SELECT concat_ws(' ', manual, is_test, state) FROM channel_slots").await,
        "t t done"
    );
    let (_, listed) = app.command(&["schedules", "list"]).await;
    assert!(listed.contains(" test  done  planned 1, sent 1"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_in_quiet_hours_gets_at_their_end_what_waited_for_that() {
    let app = app().await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '3 days'")
        .execute(&app.pg)
        .await
        .unwrap();
    let body = json!({ "text": "Well?", "waitForInbound": true, "respectQuietHours": true });
    let waits = notify(&app, body).await;
    let end = be_quiet(&app).await;

    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    let id = waits["id"].as_str().unwrap();
    app.until("it waits for the end of quiet hours", async || {
        delivery(&app, id).await["waitsUntil"].is_string()
    })
    .await;
    let state = delivery(&app, id).await["state"].clone();
    be_awake(&app).await;
    app.until("it is sent", async || sends(&app).await == (1, 0)).await;

    assert_eq!(
        (&waits["state"], &waits["waitsUntil"], &state),
        (&json!("waiting"), &Value::Null, &json!("waiting"))
    );
    assert!(end > Utc::now());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_the_sender_wakes_nobody() {
    let app = app().await;
    let refused = sandbox::faults::Faults {
        refuse: 1.0,
        refuse_code: 20003,
        refuse_status: Some(401),
        ..Default::default()
    };
    app.sandbox.set_faults(refused);
    load(&app, "").await;
    fire(&app).await;
    app.until("the sender is held back", async || {
        app.count("SELECT count(*) FROM queue.pauses").await == Some(2)
    })
    .await;
    be_quiet(&app).await;
    app.sandbox.set_faults(Default::default());

    let (well, told) = app.command(&["jobs", "probe"]).await;
    app.until("the pools go on", async || app.count("SELECT count(*) FROM queue.pauses").await == Some(0))
        .await;

    assert!(well, "{told}");
    assert_eq!(app.text(STATE).await, "waiting");
    assert_eq!((said(&app), sends(&app).await), (0, (0, 0)));
}
