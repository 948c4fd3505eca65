//! This machine's clock is wrong; the database's is right, and alone decides.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::wrong_clock::WrongClock;
use crate::support::{PERSON, TestApp};

/// The program with a clock that is off by what stands in this file, which may change.
async fn start_with_clock(wrong_clock: &WrongClock, file: &Path) -> TestApp {
    let [library, file] = wrong_clock.off_by_file(file);
    let env = [
        library,
        file,
        ("CLOUDYBOT__BACKFILL__SETTLE", "0s"),
        ("CLOUDYBOT__BACKFILL__EVERY", "1s"),
        ("CLOUDYBOT__LIMITS__PER_SENDER_BURST", "3"),
        ("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "60"),
        ("CLOUDYBOT__LIMITS__TOTAL_PER_MIN", "600"),
        ("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "100ms"),
    ];
    TestApp::start_with(&env).await
}

/// A reply, a notification, a slot and a message whose webhook was lost: each comes.
async fn all_goes_on(app: &TestApp, when: &str) {
    let said = |app: &TestApp, text: &str| app.said_to(PERSON).iter().any(|said| said.contains(text));
    app.write(PERSON, &format!("Hello {when}")).await;
    app.until("a reply came", async || said(app, &format!("You said: Hello {when}"))).await;

    let user = PERSON.replace('+', "%2B");
    let text = json!({ "text": format!("Build {when} failed.") });
    let (_, planned) = app.product(Method::POST, &format!("/users/{user}/notifications"), text).await;
    assert_eq!(planned["delivery"]["state"], "open", "{planned}");
    app.until("a notification came", async || said(app, &format!("Build {when} failed."))).await;

    app.write_schedule(
        "often",
        &format!(
            "cron = \"* * * * * *\"\n[audience]\nuser = \"{PERSON}\"\n[content]\nmessage = \"Slot {when}\"\n"
        ),
    );
    app.until("a slot came", async || said(app, &format!("Slot {when}"))).await;
    app.remove_schedule("often");

    app.sandbox.set_webhook_url("http://127.0.0.1:9/nobody");
    app.write(PERSON, &format!("Lost {when}")).await;
    app.sandbox.set_webhook_url(app.url("/webhooks/whatsapp"));
    app.until("a lost message was fetched", async || said(app, &format!("You said: Lost {when}"))).await;
}

/// Nothing may wait for a moment that only a wrong clock would call near.
async fn nothing_lies_in_the_future(app: &TestApp) {
    let ahead =
        "SELECT (SELECT count(*) FROM channel_rate_buckets WHERE filled_at > now() + interval '1 second')
        + (SELECT count(*) FROM channel_cursors WHERE moment > now() + interval '1 second')
        + (SELECT count(*) FROM channel_sender_pace WHERE free_at > now() + interval '1 minute')
        + (SELECT count(*) FROM queue.jobs WHERE run_at > now() + interval '5 minutes')";
    assert_eq!(app.count(ahead).await, Some(0));
}

async fn a_wrong_clock_changes_nothing(seconds: &str) {
    let wrong_clock = WrongClock::compile();
    let clock = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clock.path(), seconds).unwrap();
    let app = start_with_clock(&wrong_clock, clock.path()).await;

    all_goes_on(&app, "while it is wrong").await;
    nothing_lies_in_the_future(&app).await;
    let late = "SELECT (1000 * max(extract(epoch FROM t.started_at - c.send_at)))::BIGINT
        FROM channel_send_attempts t JOIN channel_chunks c ON c.id = t.chunk_id WHERE t.attempt = 1";
    let late = app.count(late).await.unwrap();
    assert!(late < 2500, "a chunk left {late} ms after its moment");
    let told = "SELECT count(*) FROM channel_alerts WHERE cause = 'clock'";
    app.until("a person is told", async || app.count(told).await == Some(1)).await;
    let (_, check) = app.command_with(&wrong_clock.off_by(seconds), &["check"]).await;
    assert!(check.contains("this machine's clock is"), "{check}");

    std::fs::write(clock.path(), "0").unwrap();
    all_goes_on(&app, "once it is mended").await;
    nothing_lies_in_the_future(&app).await;
    let (_, check) = app.command(&["check"]).await;
    assert!(check.contains("as the database's"), "{check}");
    let muted = "SELECT count(*) FROM channel_messages WHERE outcome = 'rate_limited'";
    assert_eq!(app.count(muted).await, Some(0));
    let user = app
        .product(Method::GET, &format!("/users/{}/usage", PERSON.replace('+', "%2B")), Value::Null)
        .await
        .1;
    assert!(user["whatsappSends"]["used"].as_i64() >= Some(4), "{user}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_three_seconds_behind_makes_nothing_late() {
    a_wrong_clock_changes_nothing("-3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_three_days_behind_holds_nothing_back_nor_does_its_mending() {
    a_wrong_clock_changes_nothing("-259200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_three_days_ahead_mutes_nobody_and_skips_nothing() {
    a_wrong_clock_changes_nothing("259200").await;
}
