//! What an agent writes that is not for a person: nobody reads it, and administrators see that it was there.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{Chat, Gateway, Run};
use crate::support::{PERSON, TestApp};

const APOLOGY: &str = "Sorry, I couldn't finish that. Please try again.";

/// What was asked, what the gateway answers, what the person reads, how the turn ends, and what it had withheld.
type Case = (&'static str, &'static str, &'static [&'static str], &'static str, &'static [&'static str]);

const CASES: [Case; 9] = [
    ("thanks", "NO_REPLY (they only said so)", &[], "silent", &["silence"]),
    ("silence", "**no_reply**", &[], "silent", &["silence"]),
    ("check", "HEARTBEAT_OK", &[], "silent", &["heartbeat"]),
    ("finish", "Done.\n\nNO_REPLY", &["Done."], "replied", &["silence"]),
    ("think", "<think>They ask for secrets.</think>\n\nHello!", &["Hello!"], "replied", &["thought"]),
    ("ponder", "<think>They ask for secrets.</think>NO_REPLY", &[], "silent", &["silence", "thought"]),
    ("chart", "Here it is.\nMEDIA:/srv/secrets/chart.png", &["Here it is."], "replied", &["media_directive"]),
    ("bold", "\u{1b}[1mBold\u{1b}[0m\u{7}", &["Bold"], "replied", &["control_character"]),
    (
        "explain",
        "The agent writes NO_REPLY when it has nothing to say.",
        &["The agent writes NO_REPLY when it has nothing to say."],
        "replied",
        &[],
    ),
];

async fn gateway() -> Gateway {
    Gateway::chatting(|chat: &Chat, before| {
        let said = match chat.text.as_str() {
            "once" if before > 0 => "The answer.",
            "once" | "always" => "<think>They ask for secrets.",
            "thoughts" => "<think>They ask for secrets.</think>\n",
            "comment" | "Anything new?" => "<!-- They ask for secrets. -->",
            "picture" => "MEDIA:/srv/secrets/chart.png",
            "Good morning?" => "<think>It is early.</think>Good morning!\nMEDIA:/srv/secrets/sun.png",
            asked => CASES.iter().find(|(name, ..)| *name == asked).unwrap().1,
        };
        Run::Say(said, Duration::ZERO)
    })
    .await
}

fn person(number: usize) -> String {
    format!("whatsapp:+1500555{number:04}")
}

async fn turn_of(app: &TestApp, user: &str) -> Value {
    let path = format!("/turns?user={}", user.replace('+', "%2B"));
    let (status, turns) = app.admin(Method::GET, &path, Value::Null).await;
    assert_eq!((status, turns["turns"].as_array().unwrap().len()), (200, 1), "{turns}");
    turns["turns"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_neither_tokens_nor_thoughts_nor_directives() {
    let gateway = gateway().await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    for (number, (asked, ..)) in CASES.iter().enumerate() {
        app.write(&person(number), asked).await;
    }
    app.drained_well().await;

    for (number, (asked, _, read, state, withheld)) in CASES.iter().enumerate() {
        assert_eq!(app.said_to(&person(number)), *read, "{asked}");
        let turn = turn_of(&app, &person(number)).await;
        assert_eq!((&turn["state"], &turn["withheld"]), (&json!(state), &json!(withheld)), "{asked}");
        assert_eq!(turn["attempts"].as_array().unwrap().len(), 1, "{asked}");
    }
    let logged = app.logged();
    assert!(logged.contains("Withheld from the answer of turn") && logged.contains("NO_REPLY, thoughts"));
    assert!(!logged.contains("secrets"), "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_thoughts_alone_is_asked_for_again() {
    let gateway = gateway().await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    for (number, asked) in ["once", "always", "thoughts", "picture", "comment"].into_iter().enumerate() {
        app.write(&person(number), asked).await;
    }
    app.drained().await;

    for (number, (read, attempts, error)) in [
        ("The answer.", 2, "answered with nothing but thoughts"),
        (APOLOGY, 3, "answered with nothing but thoughts"),
        (APOLOGY, 3, "answered with nothing but thoughts"),
        (APOLOGY, 1, "nothing but a file"),
        (APOLOGY, 3, "answered with nothing"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(app.said_to(&person(number)), [read]);
        let turn = turn_of(&app, &person(number)).await;
        assert_eq!(turn["attempts"].as_array().unwrap().len(), attempts, "{turn}");
        assert!(turn["attempts"][0]["error"].as_str().unwrap().contains(error), "{turn}");
    }
    assert!(!app.logged().contains("secrets"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thread_and_what_a_schedule_says_are_without_them_too() {
    let gateway = gateway().await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    app.link(PERSON).await;
    let messages = format!("/users/{}/messages", PERSON.replace('+', "%2B"));

    app.product(Method::POST, &messages, json!({ "text": "chart" })).await;
    app.drained_well().await;
    app.write_schedule(
        "morning",
        "cron = \"0 0 29 2 *\"\n[audience]\neveryone = true\n[content]\nprompt = \"Good morning?\"\n",
    );
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    assert!(app.command(&["schedules", "fire", "morning"]).await.0);
    app.drained_well().await;
    app.write_schedule(
        "noon",
        "cron = \"0 0 29 2 *\"\n[audience]\neveryone = true\n[content]\nprompt = \"Anything new?\"\n",
    );
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(2))
        .await;
    assert!(app.command(&["schedules", "fire", "noon"]).await.0);
    app.drained_well().await;

    let (_, thread) = app.product(Method::GET, &messages, Value::Null).await;
    let texts: Vec<&str> =
        thread["messages"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["chart", "Here it is.", "Good morning!"]);
    assert_eq!(app.said_to(PERSON), ["Good morning!\n\nReply STOP to unsubscribe."]);
    let outcomes = "SELECT string_agg(outcome, ' ' ORDER BY slot_id) FROM channel_slot_users";
    assert_eq!(app.text(outcomes).await, "planned agent_failed", "a comment alone is no answer");
    assert_eq!(
        app.text("SELECT string_agg(withheld::TEXT, ' ' ORDER BY id) FROM channel_turns").await,
        "{media_directive} {thought,media_directive} {}"
    );
}
