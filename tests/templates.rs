//! What WhatsApp says of templates, and what the account's webhook Rules do to ours.

use std::collections::BTreeMap;

use sandbox::faults::{Approval, Faults};
use serde_json::{Value, json};

use crate::support::{ACCOUNT_SID, AUTH_TOKEN, NUMBER, PERSON, TestApp};

const TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";
const SCHEDULE: &str = "cron = \"0 0 1 1 *\"\naudience = { everyone = true }\ncontent = { message = \"Hello\" }\n\
                        template = { content_sid = \"HX0123456789abcdef0123456789abcdef\" }\n";

/// WhatsApp's word about the template.
fn approval(category: &str, status: &str) -> Faults {
    let approval = Approval { category: category.to_owned(), status: status.to_owned() };
    Faults { approvals: BTreeMap::from([(TEMPLATE.to_owned(), Some(approval))]), ..Faults::default() }
}

/// As `check` is run beside the service.
async fn check(app: &TestApp) -> String {
    let base_url = app.sandbox.base_url();
    let env = [
        ("TWILIO_ACCOUNT_SID", ACCOUNT_SID),
        ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
        ("TWILIO_WHATSAPP_NUMBER", NUMBER),
        ("TWILIO_API_BASE_URL", base_url.as_str()),
        ("TWILIO_WEBHOOK_PUBLIC_URL", "https://bot.example.com"),
    ];
    app.command_with(&env, &["check"]).await.1
}

/// The line about one thing.
fn line<'a>(said: &'a str, what: &str) -> &'a str {
    said.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_whatsapp_judges_anew_is_told_with_its_schedule() {
    let app = TestApp::start_with(&[("CLOUDYBOT__BACKFILL__EVERY", "200ms")]).await;
    app.write_schedule("digest", SCHEDULE);
    let standing = async || {
        app.text(
            "SELECT coalesce(string_agg(concat_ws(' ', category, status), ', '), '') FROM channel_templates",
        )
        .await
    };
    app.until("it was asked", async || standing().await == "utility approved").await;
    assert_eq!(
        app.count("SELECT count(*) FROM channel_alerts").await,
        Some(0),
        "the first look is no change"
    );

    app.sandbox.set_faults(approval("MARKETING", "paused"));
    a_day_passes(&app).await;
    app.until("it was asked again", async || standing().await == "marketing paused").await;

    let alert = app.text("SELECT cause || ': ' || detail FROM channel_alerts").await;
    let told = format!(
        "template_changed: template {TEMPLATE} of schedule digest: category was utility, is marketing, status was approved, is paused"
    );
    assert_eq!(alert, told);
    app.sandbox.set_faults(Faults { configuration_status: Some(403), ..Faults::default() });
    a_day_passes(&app).await;
    app.until("it is not asked for a day", async || {
        app.count("SELECT count(*) FROM channel_templates WHERE asked_at > now() - interval '1 hour'").await
            == Some(1)
    })
    .await;
    assert_eq!(standing().await, "marketing paused", "what was not told stays");
}

async fn a_day_passes(app: &TestApp) {
    sqlx::raw_sql("UPDATE channel_templates SET asked_at = asked_at - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_counts_by_the_category_that_was_known_when_it_was_sent() {
    let app = TestApp::start_with(&[("CLOUDYBOT__BACKFILL__EVERY", "200ms")]).await;
    app.sandbox.set_faults(approval("AUTHENTICATION", "approved"));
    app.write_schedule("digest", SCHEDULE);
    app.until("it was asked", async || {
        app.count("SELECT count(category) FROM channel_templates").await == Some(1)
    })
    .await;
    app.link(PERSON).await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = NULL").execute(&app.pg).await.unwrap();

    let path = format!("/users/{}/notifications", PERSON.replace('+', "%2B"));
    let body = json!({ "text": "Hello", "template": { "contentSid": TEMPLATE } });
    app.product(reqwest::Method::POST, &path, body).await;

    app.replies(PERSON, 1).await;
    app.until("it is counted", async || {
        app.text("SELECT coalesce(string_agg(kind || ' ' || number, ', '), '') FROM channel_sent_days").await
            == "authentication_template 1"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_which_templates_whatsapp_would_not_send() {
    let app = TestApp::start().await;

    assert!(line(&check(&app).await, "templates").contains("schedules name none"));
    app.write_schedule("digest", SCHEDULE);
    let good = check(&app).await;
    app.sandbox.set_faults(approval("MARKETING", "approved"));
    let marketing = check(&app).await;
    app.sandbox.set_faults(approval("UTILITY", "rejected"));
    let rejected = check(&app).await;
    app.sandbox
        .set_faults(Faults { approvals: BTreeMap::from([(TEMPLATE.to_owned(), None)]), ..Faults::default() });
    let missing = check(&app).await;
    app.sandbox.set_faults(Faults { configuration_status: Some(403), ..Faults::default() });
    let closed = check(&app).await;

    assert!(
        line(&good, "ok     templates").contains(&format!("{TEMPLATE} of schedule digest: utility")),
        "{good}"
    );
    assert!(line(&marketing, "note   templates").contains("63049"), "{marketing}");
    assert!(line(&rejected, "SOON   templates").contains("of schedule digest is rejected"), "{rejected}");
    assert!(line(&missing, "SOON   templates").contains("is not known to the account"), "{missing}");
    assert!(line(&closed, "ok     templates").contains("not looked at"), "{closed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_warns_of_a_rule_that_takes_the_retries_of_our_webhooks() {
    let app = TestApp::start().await;
    let rule = |match_type: &str, at: &str, url: &str| json!({ "id": "webhooks_rule_1", "matchType": match_type, at: url, "settings": [{ "settingId": "webhooks_setting_1", "percentage": 100 }] });
    let setting = |connection: Value| json!({ "id": "webhooks_setting_1", "type": "CUSTOMER", "connection": connection });
    let retrying = json!({ "connectTimeoutMs": 5000, "readTimeoutMs": 3000, "retryPolicy": { "retryCount": 5, "retryOn": ["ALL"] } });
    let set = |rule: Value, connection: Value| {
        let faults = Faults {
            webhook_rules: vec![rule],
            webhook_settings: vec![setting(connection)],
            ..Faults::default()
        };
        app.sandbox.set_faults(faults);
    };
    let warned = async || check(&app).await.lines().filter(|line| line.contains("webhooks_rule_1")).count();

    assert!(line(&check(&app).await, "ok     webhook rules").contains("0 of ours"));
    set(rule("PREFIX_MATCH", "prefix", "https://bot.example.com/"), Value::Null);
    assert_eq!(warned().await, 2, "messages and statuses");
    set(
        rule("EXACT_MATCH", "value", "https://bot.example.com/webhooks/whatsapp"),
        json!({ "connectTimeoutMs": 5000 }),
    );
    assert_eq!(warned().await, 1);
    set(rule("DEFAULT", "description", ""), retrying);
    assert_eq!(warned().await, 0);
    set(rule("PREFIX_MATCH", "prefix", "https://other.example.com/"), Value::Null);
    assert_eq!(warned().await, 0);
    for status in [403, 404] {
        app.sandbox.set_faults(Faults { configuration_status: Some(status), ..Faults::default() });
        assert!(line(&check(&app).await, "ok     webhook rules").contains("not looked at"), "{status}");
    }
}
