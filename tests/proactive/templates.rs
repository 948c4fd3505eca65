//! Templates whose send is in doubt: Twilio lists the rendered text, which nobody here knows.

use std::sync::LazyLock;

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use super::{alice, delivery, notify, sends};
use crate::support::{ACCOUNT_SID, AUTH_TOKEN, NUMBER, PERSON, TestApp};

/// Alice, whose 24-hour window is closed.
async fn alice_outside_the_window(app: &TestApp) {
    alice(app, "pro").await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
}

async fn notify_by_template(app: &TestApp) -> Value {
    let template = json!({ "contentSid": format!("HX{}", "a".repeat(32)), "variables": { "1": "Alice" } });
    notify(app, json!({ "text": "Hello", "template": template })).await
}

/// How many templates Twilio was given.
fn templates(app: &TestApp) -> usize {
    app.sandbox.sent_to(PERSON).iter().filter(|message| message.content_sid.is_some()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_whose_answer_and_callbacks_were_lost_is_found_in_the_list() {
    let app = TestApp::start().await;
    alice_outside_the_window(&app).await;
    app.sandbox.set_faults(Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() });

    let planned = notify_by_template(&app).await;
    app.until("Twilio has it", async || templates(&app) == 1).await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    app.drained_well().await;

    let shown = delivery(&app, &planned["id"]).await;
    assert_eq!(shown["chunks"][0]["sid"], app.sandbox.sent_to(PERSON)[1].sid);
    assert_eq!((templates(&app), &sends(&app).await["used"]), (1, &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_was_taken_in_while_the_process_was_killed_is_found_in_the_list() {
    let mut app = TestApp::start().await;
    alice_outside_the_window(&app).await;
    app.sandbox.set_faults(Faults { answer_after_ms: 60_000, callback_lost: 1.0, ..Faults::default() });

    notify_by_template(&app).await;
    // Twilio takes it in before it answers, so the process dies without an answer.
    app.until("Twilio has it", async || templates(&app) == 1).await;
    app.kill();
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    app.launch().await;
    app.drained_well().await;

    assert_eq!((templates(&app), &sends(&app).await["used"]), (1, &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_not_the_only_candidate_stays_in_doubt() {
    let app = TestApp::start().await;
    alice_outside_the_window(&app).await;
    app.sandbox.set_faults(Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() });

    let planned = notify_by_template(&app).await;
    app.until("Twilio has it", async || templates(&app) == 1).await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    // Somebody else who writes for the same sender, a support desk say.
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", app.sandbox.base_url());
    let form = [("To", PERSON), ("From", NUMBER), ("Body", "Can we help you?")];
    let answer =
        app.http.post(url).basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN)).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    app.drained_well().await;

    let shown = delivery(&app, &planned["id"]).await;
    assert_eq!((&shown["chunks"][0]["state"], templates(&app)), (&json!("sending"), 1));
    assert!(
        app.text("SELECT detail FROM channel_alerts WHERE cause = 'send_in_doubt'").await.contains("several")
    );
}

/// Name, value and what is told of them.
static REFUSED: LazyLock<[(&str, String, &str); 9]> = LazyLock::new(|| {
    [
        ("1", "one\ntwo".into(), "template.variables.1: it has a line break (U+000A)"),
        ("1", "one\rtwo".into(), "template.variables.1: it has a line break (U+000D)"),
        ("1", "one\ttwo".into(), "template.variables.1: it has a tab (U+0009)"),
        ("1", "one\u{2028}two".into(), "template.variables.1: it has a line break (U+2028)"),
        ("1", "one\u{b}two".into(), "template.variables.1: it has a line break (U+000B)"),
        ("who", "one    two".into(), "template.variables.who: it has 4 spaces in a row"),
        ("1", "x".repeat(1100), "template.variables.1: it has 1100 characters"),
        ("1", " ".into(), "template.variables.1: it is blank"),
        ("", "Alice".into(), "template.variables: the name \"\" can be none"),
    ]
});

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_whatsapp_would_refuse_is_refused_where_it_is_written() {
    let app = TestApp::start().await;
    alice_outside_the_window(&app).await;
    let sid = format!("HX{}", "a".repeat(32));

    let number = ("1", json!(17), "template.variables.1: it is no text");
    for (name, value, told) in
        REFUSED.iter().map(|(name, value, told)| (*name, json!(value), *told)).chain([number])
    {
        let template = json!({ "contentSid": sid, "variables": { name: value } });
        let body = json!({ "text": "Hello", "template": template });
        let (status, problem) = app.product(Method::POST, "/users/alice/notifications", body).await;
        assert!(status == 422 && problem.to_string().contains(&told.replace('"', "\\\"")), "{problem}");
    }
    for (number, (name, value, _)) in REFUSED.iter().enumerate() {
        // A JSON string is a TOML string.
        let variable = format!("{} = {}", json!(name), json!(value));
        app.write_schedule(&format!("refused{number}"), &templated(&variable));
    }
    let (well, checked) = app.command(&["schedules", "check"]).await;

    assert!(!well, "{checked}");
    for (number, (_, _, told)) in REFUSED.iter().enumerate() {
        let schedule = format!("schedule refused{number}");
        let is_told = checked.lines().any(|line| line.contains(&schedule) && line.contains(told));
        assert!(is_told, "{schedule}, {told}: {checked}");
    }
    assert_eq!(app.count("SELECT count(*) FROM channel_deliveries WHERE user_id = 'alice'").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_is_called_keeps_no_template_back_unless_it_is_too_long() {
    let app = TestApp::start().await;
    // A line separator and five spaces in the user's id.
    let user = "Alice%E2%80%A8of%20%20%20%20%20Wonderland";
    app.product(Method::PUT, &format!("/users/{user}"), json!({ "plan": "pro" })).await;
    app.claim(user, PERSON).await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
    app.write_schedule("short", &templated("\"1\" = \"{{user.id}} of {{user.plan}}\""));
    app.write_schedule("long", &templated(&format!("\"1\" = \"{}\"", "{{user.id}}".repeat(60))));
    app.until("both are loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(2)
    })
    .await;

    let (_, preview) = app.command(&["schedules", "--json", "preview", "long"]).await;
    for name in ["short", "long"] {
        assert!(app.command(&["schedules", "fire", name]).await.0);
    }
    app.drained_well().await;

    assert!(preview.contains("template_variable"), "{preview}");
    let sent: Vec<_> =
        app.sandbox.sent_to(PERSON).into_iter().filter_map(|message| message.content_variables).collect();
    assert_eq!(sent, [r#"{"1":"Alice of Wonderland of pro"}"#]);
    let reasons = "SELECT string_agg(coalesce(reason, 'none'), ', ' ORDER BY reason NULLS LAST)
        FROM channel_deliveries WHERE purpose = 'scheduled'";
    assert_eq!(app.text(reasons).await, "template_variable, none");
}

/// A schedule for everybody that never fires by itself, with a variable in its template.
fn templated(variable: &str) -> String {
    format!(
        "cron = \"0 0 29 2 *\"\n[audience]\neveryone = true\n[content]\nmessage = \"Hello\"\n[template]\ncontent_sid = \"HX{}\"\n[template.variables]\n{variable}\n",
        "a".repeat(32)
    )
}
