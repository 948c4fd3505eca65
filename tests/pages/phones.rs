//! The sandbox's phones: what a newcomer does in the first minutes.

use std::time::Duration;

use sandbox::Sandbox;
use sandbox::settings::{SandboxOptions, SandboxSettings};
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::processes::free_address;
use crate::support::{ACCOUNT_SID, AUTH_TOKEN, NUMBER, PERSON, TestApp};

const OTHER: &str = "whatsapp:+15005550101";

/// A red square of 8 by 8 points.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mN4oKCAFTEMLQkAUmxIAUwYLx4AAAAASUVORK5CYII=";

/// The key.
const ENTER: &str = "\u{e007}";

/// The phone of the first person, or of the second.
const FIRST: &str = "#phone-15005550100";
const SECOND: &str = "#phone-15005550101";

async fn open(app: &TestApp, width: u32, query: &str) -> Browser {
    let browser = Browser::start(width, 900).await;
    browser.open(&format!("{}/sandbox{query}", app.sandbox.base_url())).await;
    browser
}

/// An expression: a bubble on this phone has this text.
fn shows(phone: &str, side: &str, text: &str) -> String {
    let (selector, text) = (json!(format!("{phone} .{side}")), json!(text));
    format!("[...document.querySelectorAll({selector})].some((bubble) => bubble.innerText.includes({text}))")
}

async fn write(browser: &Browser, phone: &str, text: &str) {
    browser.enter(&format!("{phone} textarea"), text).await;
    browser.press(&format!("{phone} .composer button.main")).await;
}

#[tokio::test]
async fn a_newcomer_chats_on_two_phones_and_sees_what_becomes_of_it() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    app.link(OTHER).await;
    let browser = open(&app, 1400, "").await;
    browser.until("document.querySelector('#live').textContent === 'Live.'").await;
    browser.picture("newcomer").await;

    write(&browser, FIRST, "Hello *there* <b>you</b>").await;
    browser.until(&shows(FIRST, "mine", "Hello there <b>you</b>")).await;
    browser.until(&shows(FIRST, "theirs", "there")).await;
    browser.until(&format!("document.querySelector('{FIRST} .theirs .tick-delivered')")).await;
    browser.press(&format!("{FIRST} input[name=reads]")).await;
    browser.until(&format!("document.querySelector('{FIRST} .theirs .tick-read')")).await;
    app.until("the service knows that it was read", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'read'").await > Some(0)
    })
    .await;

    write(&browser, FIRST, "/slow 1500").await;
    browser.until(&format!("!document.querySelector('{FIRST} .typing').hidden")).await;
    app.replies(PERSON, 2).await;
    browser.until(&format!("document.querySelector('{FIRST} .typing').hidden")).await;

    browser.press(".propose").await;
    browser.until(&format!("document.querySelector('{SECOND}')")).await;
    write(&browser, SECOND, "I am the second").await;
    browser.until(&shows(SECOND, "theirs", "I am the second")).await;
    let stays = format!("!({})", shows(FIRST, "bubble", "I am the second"));
    browser.until(&stays).await;

    browser.press(&format!("{FIRST} .taps form:first-child button")).await;
    browser.until(&shows(FIRST, "mine", "STOP")).await;
    app.until("the STOP is kept", async || {
        app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await == Some(1)
    })
    .await;

    browser.until("document.querySelectorAll('.request').length > 8").await;
    let requests = browser.text("#requests").await;
    for expected in ["A person wrote: STOP", "Status: delivered", "Send: "] {
        assert!(requests.contains(expected), "{expected}: {requests}");
    }
    app.drained().await;
    browser.press(".request summary").await;
    browser.until("document.querySelector('.request details[open]')").await;
    browser.picture("two-phones").await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test]
async fn a_picture_is_chosen_sent_and_shown() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("red square.png");
    let picture = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, PICTURE).unwrap();
    std::fs::write(&path, picture).unwrap();
    let browser = open(&app, 500, "").await;
    browser.resize(390, 844).await;

    browser.enter(&format!("{FIRST} input[type=file]"), path.to_str().unwrap()).await;
    browser
        .until(&format!("document.querySelector('{FIRST} .chosen').innerText.includes('red square.png')"))
        .await;
    write(&browser, FIRST, "What is this?").await;

    browser.until(&format!("document.querySelector('{FIRST} .mine img')?.naturalWidth === 8")).await;
    browser.until(&shows(FIRST, "mine", "What is this?")).await;
    browser.until(&format!("document.querySelector('{FIRST} .theirs')")).await;
    browser.picture("picture").await;

    assert_eq!(browser.script("return document.documentElement.scrollWidth").await, 390);
    let is_shown = |selector: &str| format!("document.querySelector('{selector}').checkVisibility()");
    browser.until(&format!("{} && !{}", is_shown(FIRST), is_shown("#behind"))).await;
    browser.press("[data-tab=behind]").await;
    browser.until(&format!("!{} && {}", is_shown(FIRST), is_shown("#behind"))).await;
    assert_eq!(browser.script("return document.documentElement.scrollWidth").await, 390);
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test]
async fn without_scripts_the_page_works_by_its_forms() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    let browser = Browser::start_without_scripts(1400, 900).await;
    let url = format!("{}/sandbox?phones=%2B15005550100", app.sandbox.base_url());
    browser.open(&url).await;

    write(&browser, FIRST, &"Hello ".repeat(500)).await;
    browser.until(&shows(FIRST, "mine", "Hello Hello")).await;
    browser.until(&format!("document.querySelector('{FIRST} .thread').scrollTop > 0")).await;
    write(&browser, FIRST, "Hello by a form").await;
    app.replies(PERSON, 2).await;
    browser.open(&url).await;
    browser.picture("without-scripts").await;

    // The driver's own scripts run in the page all the same.
    browser.until(&shows(FIRST, "mine", "Hello by a form")).await;
    browser.until(&format!("document.querySelector('{FIRST} .theirs')")).await;
    browser.press(&format!("{FIRST} input[name=reads]")).await;
    browser.enter(&format!("{FIRST} input[name=reads]"), ENTER).await;
    browser.until(&format!("document.querySelector('{FIRST} input[name=reads]').checked")).await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test]
async fn nothing_moves_from_under_a_finger() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    let browser = open(&app, 1400, "").await;
    write(&browser, FIRST, "one").await;
    browser.until(&shows(FIRST, "theirs", "one")).await;
    app.drained().await;
    browser.script("document.querySelector('.request summary').focus({focusVisible: true})").await;
    // What comes from here on waits, also a callback that is late.
    let before = browser.script("return document.querySelectorAll('.request').length").await;
    let place = "return document.activeElement.getBoundingClientRect().top";
    let at = browser.script(place).await;
    app.write(PERSON, "two").await;
    browser.until("!document.querySelector('#held').hidden").await;
    assert_eq!(browser.script(place).await, at);
    assert_eq!(browser.script("return document.querySelectorAll('.request').length").await, before);
    browser.press("#held").await;
    browser.until(&format!("document.querySelectorAll('.request').length > {before}")).await;

    app.drained().await;
    let pointer = |kind: &str| {
        format!(
            "document.querySelector('.request summary').dispatchEvent(new PointerEvent('{kind}', {{bubbles: true}}))"
        )
    };
    browser.script("document.activeElement.blur()").await;
    browser.script(&pointer("pointerdown")).await;
    let before = browser.script("return document.querySelectorAll('.request').length").await;
    app.write(PERSON, "three").await;
    browser.until("pressedMeanwhile.length > 0").await;
    assert_eq!(browser.script("return document.querySelectorAll('.request').length").await, before);
    browser.script(&pointer("pointerup")).await;
    browser.until(&format!("document.querySelectorAll('.request').length > {before}")).await;

    for number in 0..12 {
        app.write(PERSON, &format!("more {number}\n\n\n")).await;
    }
    browser.until(&shows(FIRST, "mine", "more 11")).await;
    browser.script(&format!("document.querySelector('{FIRST} .thread').scrollTop = 0")).await;
    app.drained().await;
    app.write(PERSON, "below").await;
    browser.until(&format!("!document.querySelector('{FIRST} .newer').hidden")).await;
    assert_eq!(
        browser.script(&format!("return document.querySelector('{FIRST} .thread').scrollTop")).await,
        0
    );
    browser.press(&format!("{FIRST} .newer")).await;
    browser.until(&format!("document.querySelector('{FIRST} .thread').scrollTop > 0")).await;
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test]
async fn the_page_of_another_program_cannot_write_as_a_person() {
    let app = TestApp::start().await;
    let browser = Browser::start(800, 600).await;
    browser.open(&format!("http://{}/healthz", app.address)).await;

    let action = json!(format!("{}/sandbox/inbound", app.sandbox.base_url()));
    browser
        .script(&format!(
            "const form = document.createElement('form'); form.method = 'post'; form.action = {action};
             form.append(Object.assign(document.createElement('input'), {{name: 'Body', value: 'STOP'}}));
             document.body.append(form); form.submit();"
        ))
        .await;

    browser.until("document.body.innerText.includes('takes nothing from pages of other sites')").await;
    assert_eq!(app.sandbox.messages(), []);
}

#[tokio::test]
async fn the_page_goes_on_with_a_sandbox_that_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SandboxSettings {
        options: SandboxOptions { listen: free_address(), status_delay: Duration::from_millis(10) },
        account_sid: ACCOUNT_SID.to_owned(),
        auth_token: AUTH_TOKEN.into(),
        api_key: None,
        whatsapp_number: NUMBER.to_owned(),
        webhook_url: "http://127.0.0.1:1/nobody".to_owned(),
        journal: Some(folder.path().join("journal")),
        seed: 1,
    };
    let sandbox = Sandbox::start(settings.clone()).await.unwrap();
    let browser = Browser::start(800, 600).await;
    browser.open(&format!("{}/sandbox", sandbox.base_url())).await;
    sandbox.write(PERSON, "before").await.unwrap_err();
    browser.until(&shows(FIRST, "mine", "before")).await;

    sandbox.stop().await;
    browser.until("document.querySelector('#live').textContent.startsWith('The connection is lost')").await;
    let sandbox = Sandbox::start(settings).await.unwrap();
    sandbox.write(PERSON, "after").await.unwrap_err();

    browser.until(&shows(FIRST, "mine", "after")).await;
    browser.until("document.querySelector('#live').textContent === 'Live.'").await;
    assert_eq!(browser.script("return document.querySelectorAll('.bubble').length").await, 2);
}
