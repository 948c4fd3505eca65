//! An author's Markdown on its way to WhatsApp: people read it in WhatsApp's signs, and the thread keeps it as it was written.

use std::time::Duration;

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::gateway::{Gateway, Run};
use crate::support::{PERSON, TestApp};

const MARKDOWN: &str = "# Weather\nIt is **sunny** and *warm*, see [the map](https://maps.example/a_b).\n\n| Day | Temp |\n|---|---|\n| Mon | 12° |";
const CONVERTED: &str =
    "*Weather*\nIt is *sunny* and _warm_, see the map (https://maps.example/a_b).\n\n_Day: Temp_\n*Mon*: 12°";

/// Converted once more it would become italic.
const DONE: &str = "**Done:** see the log";
const DONE_CONVERTED: &str = "*Done:* see the log";

const FOOTER: &str = "\n\nReply STOP to unsubscribe.";

/// Alice with the person's phone, whose agent says always the same.
async fn alice_with_agent(gateway: &Gateway, env: &[(&str, &str)]) -> TestApp {
    let env = [&[("OPENCLAW_BASE_URL", gateway.url.as_str())], env].concat();
    let app = TestApp::start_with(&env).await;
    app.claim("alice", PERSON).await;
    app
}

async fn saying(text: &'static str) -> Gateway {
    Gateway::chatting(move |_, _| Run::Say(text, Duration::ZERO)).await
}

async fn ask(app: &TestApp) {
    app.inject(&[("From", PERSON), ("Body", "Well?")]).await;
}

/// What Twilio got since the link was confirmed.
fn said(app: &TestApp) -> Vec<String> {
    app.said_to(PERSON).into_iter().skip(1).collect()
}

/// What the dashboard shows of the agent's and of schedules.
async fn thread(app: &TestApp, user: &str) -> Vec<String> {
    let (status, thread) =
        app.product(Method::GET, &format!("/users/{user}/messages?after=0"), Value::Null).await;
    assert_eq!(status, 200, "{thread}");
    let entries = thread["messages"].as_array().unwrap().iter();
    entries
        .filter(|entry| entry["role"] != "user")
        .map(|entry| entry["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_read_in_whatsapps_signs_on_a_phone_and_as_it_was_written_in_the_dashboard() {
    let gateway = saying(MARKDOWN).await;
    let app = alice_with_agent(&gateway, &[]).await;
    app.product(Method::PUT, "/users/bob", json!({ "plan": "pro" })).await;

    ask(&app).await;
    app.product(Method::POST, "/users/bob/messages", json!({ "text": "Well?" })).await;
    app.drained_well().await;

    assert_eq!(said(&app), [CONVERTED]);
    assert_eq!(app.text("SELECT text FROM channel_deliveries WHERE purpose = 'reply'").await, CONVERTED);
    assert_eq!(app.text("SELECT DISTINCT reply FROM channel_turns").await, MARKDOWN);
    assert_eq!(thread(&app, "alice").await, [MARKDOWN]);
    assert_eq!(thread(&app, "bob").await, [MARKDOWN], "a user without a phone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_send_is_in_doubt_is_found_by_what_was_sent() {
    let gateway = saying(MARKDOWN).await;
    let app = alice_with_agent(&gateway, &[]).await;
    app.sandbox.set_faults(Faults { drop_after: 1.0, callback_lost: 1.0, ..Faults::default() });

    ask(&app).await;
    app.until("the send is in doubt", async || {
        app.count("SELECT count(*) FROM channel_send_attempts WHERE outcome = 'in_doubt'").await == Some(1)
    })
    .await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    app.drained_well().await;

    assert_eq!(said(&app), [CONVERTED]);
    let of_reply = "SELECT concat(c.attempt, ' ', c.sid) FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id WHERE d.purpose = 'reply'";
    assert_eq!(app.text(of_reply).await, format!("1 {}", app.sandbox.sent_to(PERSON)[1].sid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_split_as_it_is_sent_and_no_heading_ends_a_chunk() {
    // Each section leaves room for the next one's heading behind it.
    let sections =
        (1..=4).map(|number| format!("## Part {number}\n\n{}", "**All work** and no *play*. ".repeat(55)));
    let markdown: &'static str = sections.collect::<Vec<_>>().join("\n\n").leak();
    let gateway = saying(markdown).await;
    let app = alice_with_agent(&gateway, &[]).await;

    ask(&app).await;
    app.drained_well().await;

    let said = said(&app);
    assert_eq!(said.len(), 4, "{said:?}");
    for (number, chunk) in (1..).zip(&said) {
        let text = "*All work* and no _play_. ".repeat(55);
        assert_eq!(chunk, &format!("*Part {number}*\n\n{}", text.trim_end()));
    }
    assert_eq!(
        app.text("SELECT text FROM channel_deliveries WHERE purpose = 'reply'").await,
        said.join("\n\n")
    );
    let gaps = "SELECT count(*) FROM (SELECT c.source_start - lag(c.source_end, 1, 0) OVER (ORDER BY c.index) AS gap, c.source_end,
                       lead(c.id) OVER (ORDER BY c.index) IS NULL AS is_last, octet_length(d.text) AS bytes
                FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id WHERE d.purpose = 'reply') c
                WHERE gap <> 0 OR is_last AND source_end <> bytes";
    assert_eq!(app.count(gaps).await, Some(0), "the chunks cover what is sent");
    assert_eq!(thread(&app, "alice").await, [markdown]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_sent_again_is_the_same_text() {
    let gateway = saying(DONE).await;
    let app = alice_with_agent(&gateway, &[]).await;
    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() });
    ask(&app).await;
    app.until("the job is dead", async || app.count("SELECT count(*) FROM queue.dead").await == Some(1))
        .await;
    app.drained().await;
    app.sandbox.set_faults(Faults::default());

    let (well, told) = app.command(&["jobs", "retry", "--kind", "send_chunk"]).await;
    app.drained_well().await;

    assert!(well, "{told}");
    assert_eq!(said(&app), [DONE_CONVERTED]);
    assert_eq!(
        app.text("SELECT DISTINCT text FROM channel_deliveries WHERE purpose = 'reply'").await,
        DONE_CONVERTED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_writes_whatsapps_signs_is_sent_as_it_wrote() {
    let gateway = saying("*Total:* 5 €\n_thanks_ **x**").await;
    let app = alice_with_agent(&gateway, &[("CLOUDYBOT__AGENT__FORMAT", "whatsapp")]).await;

    ask(&app).await;
    app.drained_well().await;

    assert_eq!(said(&app), ["*Total:* 5 €\n_thanks_ **x**"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatsapps_signs_are_known_without_a_setting() {
    let gateway = saying("*Total:* 5 €\n_thanks_").await;
    let app = alice_with_agent(&gateway, &[]).await;

    ask(&app).await;
    app.drained_well().await;

    assert_eq!(said(&app), ["*Total:* 5 €\n_thanks_"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_and_footer_are_counted_on_what_is_sent() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim("alice", PERSON).await;
    // As it is written it takes two messages.
    let (written, sent) = ("**a** ".repeat(380), "*a* ".repeat(380));

    let body = json!({ "text": written, "format": "markdown" });
    app.product(Method::POST, "/users/alice/notifications", body).await;
    app.drained_well().await;

    assert_eq!(said(&app), [format!("{}{FOOTER}", sent.trim_end())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_sent_as_written_unless_it_names_a_format() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim("alice", PERSON).await;
    let notify = async |body| app.product(Method::POST, "/users/alice/notifications", body).await;

    for body in [
        json!({ "text": DONE }),
        json!({ "text": DONE, "format": "whatsapp" }),
        json!({ "text": DONE, "format": "markdown" }),
        json!({ "text": format!("{DONE}\n\n**Reply STOP to unsubscribe.**"), "format": "auto" }),
    ] {
        assert_eq!(notify(body.clone()).await.0, 202, "{body}");
        app.drained_well().await;
    }
    let refused = notify(json!({ "text": DONE, "format": "html" })).await;
    for (text, format) in [("<!-- nothing -->", "markdown"), ("\u{200b}", "whatsapp")] {
        let (status, problem) = notify(json!({ "text": text, "format": format })).await;
        assert!(status == 422 && problem.to_string().contains("can be seen"), "{problem}");
    }

    let expected = [DONE, DONE, DONE_CONVERTED, DONE_CONVERTED].map(|text| format!("{text}{FOOTER}"));
    assert_eq!(said(&app), expected);
    assert_eq!(refused.0, 422);
    assert!(refused.1.to_string().contains("`auto`, `markdown`, `whatsapp`"), "{refused:?}");
    let description: Value =
        app.http.get(app.url("/openapi.json")).send().await.unwrap().json().await.unwrap();
    let request = &description["components"]["schemas"]["NotificationRequest"];
    let format = &request["properties"]["format"];
    assert_eq!(
        (&format["enum"], &format["default"], &request["required"]),
        (&json!(["auto", "markdown", "whatsapp"]), &json!("whatsapp"), &json!(["text"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_waits_for_the_person_is_converted_once() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim("alice", PERSON).await;
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();

    let waits = json!({ "text": DONE, "format": "markdown", "waitForInbound": true });
    app.product(Method::POST, "/users/alice/notifications", waits).await;
    ask(&app).await;
    app.drained_well().await;

    let notified: Vec<String> = said(&app).into_iter().filter(|said| said.ends_with(FOOTER)).collect();
    assert_eq!(notified, [format!("{DONE_CONVERTED}{FOOTER}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_schedule_says_has_the_format_of_its_file() {
    let gateway = saying(DONE).await;
    let app = alice_with_agent(&gateway, &[]).await;
    let file = |content: &str| {
        format!("cron = \"0 0 29 2 *\"\n[audience]\nuser = \"alice\"\n[content]\n{content}\n")
    };
    let message = format!("message = \"{DONE}, {{{{user.id}}}}\"");
    app.write_schedule("a_message", &file(&message));
    app.write_schedule("b_markdown", &file(&format!("{message}\nformat = \"markdown\"")));
    app.write_schedule("c_prompt", &file("prompt = \"Well?\""));
    app.write_schedule("d_written", &file("prompt = \"Well?\"\nformat = \"whatsapp\""));
    app.until("all are loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(4)
    })
    .await;

    let previewed = app.command(&["schedules", "preview", "b_markdown", "--json"]).await.1;
    for name in ["a_message", "b_markdown", "c_prompt", "d_written"] {
        assert!(app.command(&["schedules", "fire", name]).await.0);
        app.drained_well().await;
    }
    app.write_schedule("wrong", &file(&format!("{message}\nformat = \"html\"")));
    app.write_schedule("hidden", &file("message = \"<!-- nothing -->\"\nformat = \"markdown\""));
    let (well, told) = app.command(&["schedules", "check"]).await;

    let expected = [
        format!("{DONE}, alice{FOOTER}"),
        format!("{DONE_CONVERTED}, alice{FOOTER}"),
        format!("{DONE_CONVERTED}{FOOTER}"),
        format!("{DONE}{FOOTER}"),
    ];
    assert_eq!(said(&app), expected);
    let written = format!("{DONE}, alice");
    assert_eq!(thread(&app, "alice").await, [&written, &written, DONE, DONE]);
    let previewed: Value = serde_json::from_str(&previewed).unwrap();
    assert_eq!(previewed["rendered"]["chunks"], json!([expected[1]]), "{previewed}");
    assert_eq!(previewed["format"], "markdown");
    assert!(!well && told.contains("schedule wrong, line 6: unknown variant `html`"), "{told}");
    assert!(told.contains("`auto`, `markdown`, `whatsapp`"), "{told}");
    assert!(told.contains("nothing of the message can be seen in WhatsApp"), "{told}");
}
