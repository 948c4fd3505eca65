//! Colours: every text of every page stands out from its ground as WCAG's level AA wants, in dark and light.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use super::CONSOLE;
use super::console::log_in;
use crate::support::browser::Browser;
use crate::support::{PERSON, TestApp};

const LOOK: &str = include_str!("contrast.js");

/// Texts that are too pale on the page that is open, in either scheme, and how many were looked at.
async fn pale(browser: &Browser) -> (u64, Vec<Value>) {
    let (mut looked, mut failing) = (0, Vec::new());
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        let seen = browser.script(LOOK).await;
        looked += seen["looked"].as_u64().unwrap();
        failing.extend(seen["failing"].as_array().unwrap().iter().map(|text| json!([scheme, text])));
    }
    (looked, failing)
}

/// One of everything that has a colour of its own: what went well, failed, died, waits, is in doubt, and what needs a person.
async fn colourful(app: &TestApp) {
    app.write_schedule("morning", "cron = \"0 8 * * *\"\ntimezone = \"UTC\"\naudience = { everyone = true }\ncontent = { message = \"Hi\" }\n");
    app.write_schedule("wrong", "cron = \"0 8 * *\"\n");
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim("alice", PERSON).await;
    app.inject(&[("From", PERSON), ("Body", "Hello *there*, `code` and https://a.example")]).await;
    app.drained_well().await;
    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() });
    app.inject(&[("From", PERSON), ("Body", "Is anybody there?")]).await;
    app.drained().await;
    app.sandbox.set_faults(Faults::default());
    sqlx::raw_sql(
        "INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, payload)
         VALUES (77777, now(), 3, 3, 0, 0, 'close_slot', 'upkeep', 'no', '{}');
         INSERT INTO queue.jobs (id, run_at, max_attempts, state, kind, pool, payload)
         VALUES (77778, now() + interval '1 day', 5, 'scheduled', 'receive_message', 'inbound', '{\"message\": -1}');
         INSERT INTO channel_alerts (cause, detail) VALUES ('unknown_send', 'some')",
    )
    .execute(&app.pg)
    .await
    .unwrap();
    app.admin(
        Method::POST,
        "/jobs/pause",
        json!({ "scope": "pool", "name": "proactive", "reason": "a new text" }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_stands_out_from_its_ground_in_dark_and_light() {
    let app = TestApp::start().await;
    colourful(&app).await;
    let browser = log_in(&app, 1300).await;
    let jobs = ["/jobs?state=dead", "/jobs/77777", "/jobs/77778", "/jobs/1", "/jobs/987654"];
    let console = CONSOLE.iter().chain(&jobs).map(|path| app.url(&format!("/admin{path}")));
    let others = [app.url("/dashboard"), format!("{}/sandbox", app.sandbox.base_url())];
    let mut failing = Vec::new();
    for address in console.chain(others) {
        browser.open(&address).await;
        browser.until("document.querySelector('h1') !== null").await;
        // What a press opens has colours, too.
        browser
            .script("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
            .await;
        for width in [1300, 390] {
            browser.resize(width, 900).await;
            let (looked, pale) = pale(&browser).await;
            assert!(looked > 3, "{address}: only {looked} texts");
            let name: String =
                address.chars().skip(7).map(|sign| if sign.is_alphanumeric() { sign } else { ' ' }).collect();
            browser.picture(&format!("every {name} {width}")).await;
            failing.extend(pale.into_iter().map(|pale| format!("{address} {pale}")));
        }
    }
    // A form's question and its answer, the door of the dashboard, the page of a user, and the login.
    browser.open(&app.url("/admin/jobs?state=dead")).await;
    browser.press("form[action^='/admin/jobs/all/cancel'] button").await;
    browser.until("document.querySelector(\"form[action='/admin/jobs/all/do']\") !== null").await;
    failing.extend(pale(&browser).await.1.into_iter().map(|pale| format!("question {pale}")));
    browser.press("form[action='/admin/jobs/all/do'] button").await;
    browser.until("document.querySelector('.result') !== null").await;
    failing.extend(pale(&browser).await.1.into_iter().map(|pale| format!("answer {pale}")));
    let (_, link) = app.product(Method::POST, "/users/alice/dashboard-link", Value::Null).await;
    browser.open(link["url"].as_str().unwrap()).await;
    browser.until("document.querySelector('.chat-thread .theirs') !== null").await;
    failing.extend(pale(&browser).await.1.into_iter().map(|pale| format!("user's page {pale}")));
    browser.picture("contrast dashboard").await;
    browser.open(&app.url("/admin")).await;
    browser.press(".who button").await;
    browser.until("document.querySelector('.login') !== null").await;
    failing.extend(pale(&browser).await.1.into_iter().map(|pale| format!("login {pale}")));

    assert_eq!(failing, [""; 0]);
    // The look sees what is pale.
    browser.script("document.querySelector('.login').insertAdjacentHTML('beforeend', '<p id=pale>pale</p>'); document.getElementById('pale').style.color = '#808080'").await;
    browser.prefer("light").await;
    let seen = browser.script(LOOK).await;
    assert!(seen["failing"][0].as_str().unwrap().starts_with("3.9"), "{seen}");
}
