//! The administrators' pages: what a person does there at night.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::json;

use super::CONSOLE;
use crate::support::browser::{ALT, Browser, ENTER, TAB};
use crate::support::{PERSON, TestApp};

pub(super) async fn log_in(app: &TestApp, width: u32) -> Browser {
    let browser = Browser::start(width, 900).await;
    browser.open(&app.url("/admin/jobs?state=dead")).await;
    browser.enter("input[name=token]", crate::support::ADMIN_TOKEN).await;
    browser.press("button").await;
    browser.until("location.pathname === '/admin/jobs' && location.search === '?state=dead'").await;
    browser
}

/// An expression: the page has this text.
pub(super) fn says(text: &str) -> String {
    format!("document.querySelector('main').innerText.includes({})", json!(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_found_by_their_cause_and_retried_in_three_presses() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.drained_well().await;
    let pool = json!({ "scope": "pool", "name": "inbound" });
    app.admin(Method::POST, "/jobs/pause", pool.clone()).await;
    app.inject(&[("From", PERSON), ("Body", "Is anybody there?")]).await;
    let id = app.count("SELECT max(id) FROM channel_messages").await.unwrap();
    // As if it had failed too often.
    sqlx::query("SELECT queue.bury(id, 'cannot reach http://gateway.example: refused') FROM queue.jobs WHERE kind = 'receive_message'")
        .execute(&app.pg)
        .await
        .unwrap();
    app.admin(Method::POST, "/jobs/resume", pool).await;

    let browser = log_in(&app, 1300).await;
    browser.open(&app.url("/admin")).await;
    browser.until(&says("to be mended soon")).await;
    browser.picture("console now").await;
    browser.press("a[href='/admin/groups']").await;
    browser.until(&says("receive_message: cannot reach <url>")).await;
    browser.press("form[action^='/admin/jobs/all/retry'] button").await;
    browser.until(&says("Retry 1 job?")).await;
    browser.press("form[action='/admin/jobs/all/do'] button").await;
    browser.until("document.querySelector('.result') !== null").await;
    browser.until(&says("No job is dead.")).await;

    browser.open(&app.url(&format!("/admin/messages/{id}"))).await;
    browser.until(&says("The reply reached the phone.")).await;
    browser.picture("console story").await;
    let answers = app.said_to(PERSON).iter().filter(|said| said.contains("Is anybody there?")).count();
    assert_eq!(answers, 1, "{:?}", app.said_to(PERSON));
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_in_doubt_is_judged_by_whoever_has_asked_the_person() {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__TWILIO__IN_DOUBT_GRACE", "60s"),
        ("CLOUDYBOT__TWILIO__IN_DOUBT_SECOND_LOOK", "30s"),
        ("CLOUDYBOT__TWILIO__SEND_DEADLINE", "20s"),
    ])
    .await;
    app.sandbox.set_faults(Faults { drop_before: 1.0, ..Faults::default() });
    app.write(PERSON, "Where is it?").await;
    let in_doubt = "SELECT count(*) FROM channel_send_attempts WHERE outcome = 'in_doubt'";
    app.until("nobody knows", async || app.count(in_doubt).await == Some(1)).await;
    app.sandbox.set_faults(Faults::default());

    let browser = log_in(&app, 1300).await;
    browser.open(&app.url("/admin/in-doubt")).await;
    browser.until(&says("+15005550100")).await;
    browser.press("a[href='/admin/in-doubt?twilio=1']").await;
    browser.until(&says("Twilio does not have it yet")).await;
    browser.until(&says("Alt+A says that the first one arrived, Alt+S that it is to be sent again")).await;
    browser.keys(&[ALT, 's']).await;
    browser.until(&says("it is sent again at once")).await;
    browser.picture("console in doubt").await;
    browser.keys(&[TAB]).await;
    browser.keys(&[ENTER]).await;
    browser.until(&says("is judged")).await;
    let reply = app.replies(PERSON, 1).await;
    assert!(reply[0].body.contains("Where is it?"));
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_follows_what_happens_and_leaves_open_questions_alone() {
    let app = TestApp::start().await;
    let browser = log_in(&app, 1300).await;
    browser.open(&app.url("/admin/messages")).await;
    browser.until(&says("No message fits.")).await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;

    browser.open(&app.url("/admin/pauses")).await;
    browser.press("summary").await;
    browser.enter("input[name=name]", "replies").await;
    browser.enter("input[name=reason]", "the gateway moves").await;
    sqlx::query("INSERT INTO queue.pauses (scope, name, paused_by, reason) VALUES ('kind', 'post_callback', 'somebody', 'meanwhile')")
        .execute(&app.pg)
        .await
        .unwrap();
    app.inject(&[("From", PERSON), ("Body", "Again")]).await;
    app.drained_well_within(std::time::Duration::from_secs(30)).await;
    browser.press("details[open] button").await;
    browser.until(&says("The pool replies is paused.")).await;
    browser.until(&says("the gateway moves")).await;
    assert_eq!(app.count("SELECT count(*) FROM queue.pauses WHERE name = 'replies'").await, Some(1));
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_phone_and_breaks_no_policy() {
    let app = TestApp::start().await;
    app.write_schedule("morning", "cron = \"0 8 * * *\"\ntimezone = \"UTC\"\naudience = { everyone = true }\ncontent = { message = \"Hi\" }\n");
    app.claim("alice", PERSON).await;
    app.inject(&[
        ("From", PERSON),
        ("Body", "A word that is so long that no phone has room for it: ".to_owned().as_str()),
        ("ProfileName", "Al"),
    ])
    .await;
    app.until("the schedule is there", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(1)
    })
    .await;
    app.drained_well().await;
    let browser = log_in(&app, 500).await;
    browser.resize(390, 844).await;
    for path in CONSOLE {
        browser.open(&app.url(&format!("/admin{path}"))).await;
        browser.until("document.querySelector('h1') !== null").await;
        let width = browser.script("return document.documentElement.scrollWidth").await;
        assert_eq!(width, 390, "{path}");
        let unnamed = "return [...document.querySelectorAll('input:not([type=hidden]), select')].filter((field) => !field.labels.length).length";
        assert_eq!(browser.script(unnamed).await, 0, "{path}");
    }
    assert_eq!(browser.errors().await, [""; 0]);
}
