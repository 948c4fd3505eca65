//! What an agent is told of a conversation before a turn.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{Gateway, Run};
use crate::support::{PERSON, TestApp};

const APOLOGY: &str = "Sorry, I couldn't finish that. Please try again.";

/// A server without a history, whatever it is asked: it says yes, but fails at "fail".
async fn forgetful() -> Gateway {
    let server = Gateway::chatting(|chat, _| {
        if chat.text.ends_with("fail") {
            Run::Refuse(400)
        } else {
            Run::Say("**Yes**, _indeed_.", Duration::ZERO)
        }
    })
    .await;
    server.lists(&["gpt-5"]);
    server
}

/// The messages of each request, as `role: text`.
fn told(gateway: &Gateway) -> Vec<Vec<String>> {
    let chats = gateway.chats().into_iter();
    chats.map(|chat| chat.messages.iter().map(|(role, text)| format!("{role}: {text}")).collect()).collect()
}

/// The messages of the last request.
fn last_told(gateway: &Gateway) -> Vec<String> {
    told(gateway).pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_history_is_told_the_thread_and_a_gateway_is_not_also_after_a_restart() {
    let server = forgetful().await;
    let gateway = Gateway::chatting(|_, _| Run::Say("Yes.", Duration::ZERO)).await;

    for asked in [&server, &gateway] {
        let mut app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &asked.url)]).await;
        app.write(PERSON, "Tea?").await;
        app.replies(PERSON, 1).await;
        app.kill();
        app.launch().await;
        app.write(PERSON, "Green?").await;
        app.replies(PERSON, 2).await;
        app.drained_well().await;
        assert_eq!(asked.asked("/v1/models").len(), 1, "what was found out holds for a while");
    }

    assert_eq!(
        told(&server),
        [vec!["user: Tea?"], vec!["user: Tea?", "assistant: **Yes**, _indeed_.", "user: Green?"]]
    );
    assert_eq!(told(&gateway), [["user: Tea?"], ["user: Green?"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_decides_and_a_long_thread_is_bounded() {
    let server = forgetful().await;
    let gateway =
        Gateway::chatting(|_, _| Run::Say("A long answer of forty letters, or so it is.", Duration::ZERO))
            .await;
    let of_gateway = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &server.url),
        ("CLOUDYBOT__OPENCLAW__MEMORY", "gateway"),
    ])
    .await;
    let of_thread = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &gateway.url),
        ("CLOUDYBOT__OPENCLAW__MEMORY", "thread"),
        ("CLOUDYBOT__OPENCLAW__MEMORY_ENTRIES", "5"),
        ("CLOUDYBOT__OPENCLAW__MEMORY_LIMIT_BYTES", "60"),
    ])
    .await;

    for number in 1..=4 {
        for app in [&of_gateway, &of_thread] {
            app.write(PERSON, &number.to_string()).await;
            app.replies(PERSON, number).await;
        }
    }

    assert_eq!(last_told(&server), ["user: 4"]);
    assert_eq!(
        last_told(&gateway),
        [
            "user: [The assistant wrote:]",
            "assistant: A long answe…",
            "user: 2",
            "assistant: A long answe…",
            "user: 3",
            "assistant: A long answe…",
            "user: 4"
        ],
        "five entries, and of each a quarter of the size"
    );
    for asked in [&server, &gateway] {
        assert!(asked.asked("/v1/models").is_empty(), "nobody is asked what the operator has said");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedules_words_belong_to_the_thread_and_an_apology_does_not() {
    let server = forgetful().await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &server.url)]).await;
    app.link(PERSON).await;
    let schedule =
        |content: &str| format!("cron = \"0 0 29 2 *\"\n[audience]\neveryone = true\n[content]\n{content}\n");
    app.write_schedule("words", &schedule("message = \"Good morning\""));
    app.write_schedule("prompt", &schedule("prompt = \"How is the weather?\""));
    app.until("both are loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(2)
    })
    .await;

    assert!(app.command(&["schedules", "fire", "words"]).await.0);
    app.drained_well().await;
    app.write(PERSON, "fail").await;
    app.drained().await;
    assert!(app.command(&["schedules", "fire", "prompt"]).await.0);
    app.drained().await;
    app.write(PERSON, "Thanks").await;
    app.drained().await;

    assert!(app.said_to(PERSON).iter().any(|said| said == APOLOGY));
    let before = ["user: [The assistant wrote:]", "assistant: Good morning"];
    assert_eq!(
        told(&server),
        [
            vec![before[0], before[1], "user: fail"],
            vec![before[0], before[1], "user: fail\nHow is the weather?"],
            vec![before[0], before[1], "user: fail", "assistant: **Yes**, _indeed_.", "user: Thanks"],
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_tells_its_question_once_though_it_is_tried_again_and_somebody_writes_meanwhile() {
    let server = Gateway::chatting(|chat, _| match chat.messages.len() {
        1 => Run::Say("Yes.", Duration::ZERO),
        3 if !chat.text.contains("sent before") => Run::Hang,
        _ => Run::Say("No.", Duration::ZERO),
    })
    .await;
    server.lists(&["gpt-5"]);
    let mut app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &server.url)]).await;
    app.write(PERSON, "Tea?").await;
    app.replies(PERSON, 1).await;

    app.write(PERSON, "Green?").await;
    app.until("it is asked", async || server.chats().len() == 2).await;
    app.write(PERSON, "Black?").await;
    let accepted = "SELECT count(*) FROM channel_messages WHERE accepted_at IS NOT NULL";
    app.until("both are accepted", async || app.count(accepted).await == Some(3)).await;
    app.kill();
    app.launch().await;
    app.replies(PERSON, 3).await;
    app.drained_well().await;

    let told = told(&server);
    let past = ["user: Tea?", "assistant: Yes."];
    assert_eq!((&told[2][..2], told[2].len()), (&past.map(str::to_owned)[..], 3), "{:?}", told[2]);
    assert!(told[2][2].ends_with("]\nGreen?") && !told[2][2].contains("Black"), "{:?}", told[2]);
    assert_eq!(told[3], ["user: Tea?", "assistant: Yes.", "user: Green?", "assistant: No.", "user: Black?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_leaves_no_memory() {
    let server = forgetful().await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &server.url)]).await;
    let say = async |text: &str| {
        app.product(Method::PUT, "/users/alice", json!({})).await;
        app.product(Method::POST, "/users/alice/messages", json!({ "text": text })).await;
        app.drained_well().await;
    };
    say("Tea?").await;

    let (status, _) = app.product(Method::DELETE, "/users/alice", Value::Null).await;
    say("Green?").await;
    say("Black?").await;

    assert!(status < 300, "{status}");
    assert_eq!(told(&server)[1], ["user: Green?"]);
    assert_eq!(last_told(&server), ["user: Green?", "assistant: **Yes**, _indeed_.", "user: Black?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_server_is_judged_by_itself() {
    let own = forgetful().await;
    let shared = Gateway::chatting(|_, _| Run::Say("Yes.", Duration::ZERO)).await;
    let allowed = format!("[\"{}\"]", own.url.strip_prefix("http://").unwrap());
    let app = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &shared.url),
        ("CLOUDYBOT__OPENCLAW__MEMORY", "gateway"),
        ("CLOUDYBOT__OPENCLAW__ALLOWED_HOSTS", &allowed),
    ])
    .await;
    app.product(Method::PUT, "/users/alice", json!({ "agent": { "baseUrl": own.url } })).await;
    app.product(Method::PUT, "/users/bob", json!({})).await;

    for text in ["Tea?", "Green?"] {
        for user in ["alice", "bob"] {
            app.product(Method::POST, &format!("/users/{user}/messages"), json!({ "text": text })).await;
            app.drained_well().await;
        }
    }

    assert_eq!(last_told(&own), ["user: Tea?", "assistant: **Yes**, _indeed_.", "user: Green?"]);
    assert_eq!(last_told(&shared), ["user: Green?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_doubt_the_thread_goes_along_and_what_a_server_once_told_holds_while_it_tells_nothing() {
    let server = forgetful().await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &server.url)]).await;
    let say = async |text: &str| {
        // Whatever was found out is old by now.
        sqlx::query("UPDATE channel_gateways SET asked_at = asked_at - interval '1 hour'")
            .execute(&app.pg)
            .await
            .unwrap();
        app.write(PERSON, text).await;
        app.drained_well().await;
        last_told(&server).len()
    };
    let silent = || server.says_of_its_models(503, json!({}));

    silent();
    assert_eq!((say("one").await, say("two").await), (1, 3), "in doubt");
    server.lists(&["openclaw", "openclaw/default"]);
    assert_eq!(say("three").await, 1, "a gateway");
    silent();
    assert_eq!(say("four").await, 1, "still the gateway");
    server.says_of_its_models(404, json!({ "detail": "Not Found" }));
    assert_eq!(say("five").await, 1, "a page of a proxy is no list of models");
    server.lists(&["gpt-5"]);
    assert_eq!(say("six").await, 11, "another server, which is told everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_who_keeps_the_history() {
    let gateway = Gateway::chatting(|_, _| Run::Refuse(500)).await;
    let server = forgetful().await;
    let unlisted = forgetful().await;
    unlisted.says_of_its_models(404, json!({}));
    let app = TestApp::start().await;
    let by_setting = ("CLOUDYBOT__OPENCLAW__MEMORY", "thread");
    let cases = [
        (
            vec![("OPENCLAW_BASE_URL", gateway.url.as_str())],
            "it keeps the history of conversations, by its list of models",
        ),
        (vec![("OPENCLAW_BASE_URL", server.url.as_str())], "it keeps no history, by its list of models"),
        (vec![("OPENCLAW_BASE_URL", unlisted.url.as_str())], "openclaw.memory decides"),
        (
            vec![("OPENCLAW_BASE_URL", gateway.url.as_str()), by_setting],
            "it keeps no history, as openclaw.memory says",
        ),
    ];
    for (env, expected) in cases {
        let (_, told) = app.command_with(&env, &["check"]).await;

        assert!(told.contains("ok     agent") && told.contains(expected), "{expected}: {told}");
    }
}
