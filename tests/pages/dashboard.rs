//! The user's page: a newcomer's first minute, and how one gets there.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::processes::free_address;
use crate::support::{PERSON, TestApp};

/// The key.
const ENTER: &str = "\u{e007}";

/// The phones on the sandbox's page: the one that is linked from the start, and the next.
const FIRST: &str = "#phone-15005550100";
const SECOND: &str = "#phone-15005550101";

/// An expression: what the selector finds has this text.
fn says(selector: &str, text: &str) -> String {
    let (selector, text) = (json!(selector), json!(text));
    format!("[...document.querySelectorAll({selector})].some((found) => found.innerText.includes({text}))")
}

/// The service as `cargo run` starts it, with the built-in Twilio at this address.
async fn started_by_a_newcomer(sandbox: &str, folder: &str) -> TestApp {
    TestApp::start_with(&[
        ("TWILIO_ACCOUNT_SID", ""),
        ("TWILIO_AUTH_TOKEN", ""),
        ("TWILIO_WHATSAPP_NUMBER", ""),
        ("TWILIO_API_BASE_URL", ""),
        ("TWILIO_WEBHOOK_PUBLIC_URL", ""),
        ("CLOUDYBOT__SANDBOX__LISTEN", sandbox),
        ("CLOUDYBOT__DATABASE__DATA_DIRECTORY", folder),
    ])
    .await
}

/// A link to a user's page.
async fn link(app: &TestApp, user: &str) -> String {
    let (status, link) =
        app.product(Method::POST, &format!("/users/{user}/dashboard-link"), Value::Null).await;
    assert_eq!(status, 201, "{link}");
    link["url"].as_str().unwrap().to_owned()
}

/// What would be cut off or hidden at the width of a phone, and fields without a name.
async fn fits_a_phone(browser: &Browser) {
    browser.resize(390, 844).await;
    assert_eq!(browser.script("return document.documentElement.scrollWidth").await, 390);
    let unnamed = "return [...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter((field) => !field.labels.length && !field.ariaLabel).length";
    assert_eq!(browser.script(unnamed).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_links_a_second_phone_chats_on_both_and_stops_what_comes_unasked() {
    let (sandbox, folder) = (free_address().to_string(), tempfile::tempdir().unwrap());
    let app = started_by_a_newcomer(&sandbox, folder.path().to_str().unwrap()).await;
    app.write_schedule(
        "morning_briefing",
        "cron = \"0 0 29 2 *\"\n[audience]\nuser = \"nina\"\n[content]\nmessage = \"Good morning, {{user.id}}.\"\n",
    );
    let phones = Browser::start(1400, 900).await;
    phones.open(&format!("http://{sandbox}/sandbox")).await;
    let write = async |phone: &str, text: &str| {
        phones.enter(&format!("{phone} textarea"), text).await;
        phones.press(&format!("{phone} .composer button.main")).await;
    };
    write(FIRST, "Hello there").await;
    phones.until(&says(&format!("{FIRST} .theirs"), "Hello there")).await;
    phones.press(".propose").await;

    let page = Browser::start(1300, 950).await;
    page.open(&app.url("/dashboard")).await;
    page.until(&says(".door-users button", "demo")).await;
    page.picture("dashboard door").await;
    page.enter("input[name=user]", "nina").await;
    page.press("button.main").await;
    page.until(&says(".card-state", "No phone is linked.")).await;
    page.until(&says("#usage", "WhatsApp updates are part of the paid plans")).await;
    page.picture("dashboard new").await;
    page.press("#whatsapp button.main").await;
    page.until(&says(".card-state", "Waiting for your message.")).await;
    page.picture("dashboard code").await;
    fits_a_phone(&page).await;
    page.script("document.querySelector('#whatsapp').scrollIntoView()").await;
    page.picture("dashboard code phone").await;
    page.resize(1300, 950).await;

    // What turns to linked is the page as it stands, not a new one.
    page.script("window.isTheSame = true").await;
    write(SECOND, &page.text(".code").await).await;
    phones.until(&says(&format!("{SECOND} .theirs"), "This number is now linked")).await;
    page.until(&says(".card-state", "Linked: +15005550101")).await;
    page.until("document.querySelector('#announcer').textContent.includes('Linked')").await;
    page.until("window.isTheSame && document.querySelector('.qr') === null").await;
    page.until(&says("#whatsapp", "not in your plan")).await;

    page.enter("#chat-form textarea", &format!("Hello from the page{ENTER}")).await;
    page.until(&says(".chat-thread .theirs", "Hello from the page")).await;
    write(SECOND, "Hello from the phone").await;
    page.until(&says(".chat-thread .mine", "Hello from the phone")).await;
    page.until(&says(".chat-thread .theirs", "Hello from the phone")).await;
    page.until(&says(".chat-thread .theirs .reach", "delivered on WhatsApp")).await;
    phones.until(&says(&format!("{SECOND} .theirs"), "Hello from the phone")).await;
    assert_eq!(
        phones.script(&format!("return {}", says(&format!("{SECOND} .bubble"), "Hello from the page"))).await,
        false,
        "an answer goes where it was asked"
    );

    phones.press(&format!("{SECOND} .taps form:first-child button")).await;
    page.until(&says("#whatsapp", "You are unsubscribed")).await;
    app.until("the schedule is loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(1)
    })
    .await;
    app.command(&["schedules", "fire", "morning_briefing"]).await;
    page.until(&says(".chat-thread .theirs", "Good morning, nina.")).await;
    page.until(&says(".chat-thread .theirs", "scheduled: Morning briefing")).await;
    page.until(&says(".chat-thread .reach.bad", "you were unsubscribed")).await;
    assert_eq!(page.script("return window.isTheSame").await, true);
    page.picture("dashboard stopped").await;
    page.prefer("dark").await;
    page.picture("dashboard dark").await;
    fits_a_phone(&page).await;
    page.script("document.querySelector('#schedules').scrollIntoView()").await;
    page.picture("dashboard dark phone").await;
    page.prefer("light").await;
    page.script("window.scrollTo(0, 0)").await;
    page.picture("dashboard phone").await;
    page.resize(1300, 950).await;

    page.press("#whatsapp summary").await;
    page.press("#whatsapp details[open] button").await;
    page.until(&says(".result", "The phone is not linked any more.")).await;
    page.until(&says(".card-state", "No phone is linked.")).await;
    assert_eq!(page.errors().await, [""; 0]);
    assert_eq!(phones.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_on_a_page_of_another_site_opens_the_users_page() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    let url = link(&app, "alice").await;
    let browser = Browser::start(1300, 950).await;
    // By another name it is another site.
    let other_site = app.url("/healthz").replace("127.0.0.1", "localhost");
    browser.open(&other_site).await;
    let follow = |url: &str| {
        format!(
            "const link = document.createElement('a'); link.href = {}; document.body.append(link); link.click();",
            json!(url)
        )
    };

    browser.script(&follow(&url)).await;

    browser.until(&says(".card-state", "Linked: +15005550100")).await;
    assert_eq!(browser.script("return location.pathname + location.search").await, "/dashboard");
    assert_eq!(browser.script("return document.cookie").await, "", "scripts see no cookie");
    browser.picture("dashboard paid").await;
    // So does the bare address, since the session goes on.
    browser.open(&other_site).await;
    browser.script(&follow(&app.url("/dashboard"))).await;
    browser.until(&says(".card-state", "Linked: +15005550100")).await;
    // The link itself opens nothing any more in a browser without the session.
    browser.press(".who button").await;
    browser.until(&says("main", "You are not signed in here.")).await;
    browser.open(&url).await;
    browser.until(&says("main", "This link was opened before")).await;
    // The console tells of our refusal, and of the other site.
    let errors = browser.errors().await;
    let is_known = |error: &String| {
        error.contains("/dashboard - ") && error.contains("403") || error.contains("//localhost")
    };
    assert!(errors.iter().all(is_known), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_the_page_works_by_its_forms() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    let browser = Browser::start_without_scripts(1300, 950).await;
    browser.open(&link(&app, "alice").await).await;

    browser.enter("#chat-form textarea", "Hello by a form").await;
    browser.press("#chat-form button").await;
    browser.until(&says(".chat-thread .mine", "Hello by a form")).await;
    app.drained_well().await;
    browser.press("#whatsapp button.main").await;
    browser.until(&says(".chat-thread .theirs", "Hello by a form")).await;
    let code = browser.text(".code").await;
    app.inject(&[("From", PERSON), ("Body", &code)]).await;
    app.drained_well().await;
    browser.open(&app.url("/dashboard")).await;
    browser.until(&says(".card-state", "Linked: +15005550100")).await;
    browser.enter("select[name=timezone]", "Europe/Berlin").await;
    browser.press(".times button.main").await;
    browser.until(&says(".result", "Your times are saved.")).await;
    assert_eq!(app.user("alice").await["timezone"], json!("Europe/Berlin"));
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_frames_it_only_where_the_operator_names_it() {
    let mut app = TestApp::start().await;
    let other_site = app.url("").replace("127.0.0.1", "localhost");
    let framed = format!(
        "const frame = document.createElement('iframe'); frame.src = {}; document.body.append(frame);",
        json!(app.url("/dashboard"))
    );
    let browser = Browser::start(1300, 950).await;

    browser.open(&format!("{other_site}/healthz")).await;
    browser.script(&framed).await;
    app.until("the frame is refused", async || {
        browser.errors().await.iter().any(|error| error.contains("frame-ancestors 'none'"))
    })
    .await;
    app.terminate().await;
    app.launch_with(&[
        ("CLOUDYBOT__DASHBOARD__URL", "https://chat.example.com"),
        ("CLOUDYBOT__DASHBOARD__EMBED_IN", &json!([other_site]).to_string()),
    ])
    .await;
    browser.open(&format!("{other_site}/healthz")).await;
    browser.script(&framed).await;
    browser.enter_frame("iframe").await;

    browser.until(&says("main", "You are not signed in here.")).await;
    let errors = browser.errors().await;
    assert!(!errors.iter().any(|error| error.contains("frame-ancestors")), "{errors:?}");
}
