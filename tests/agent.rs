//! The agent's path, from a message to its reply: a gateway that behaves as OpenClaw does, on its good and bad days.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::gateway::{Chat, Gateway, Run};
use crate::support::{PERSON, TestApp};

pub(crate) const APOLOGY: &str = "Sorry, I couldn't finish that. Please try again.";

fn person(number: usize) -> String {
    format!("whatsapp:+1500555{number:04}")
}

/// What a gateway may do instead of answering, with what is kept of it.
fn failures() -> [(&'static str, Run, &'static str); 6] {
    [
        ("empty", Run::NoResponse, "answered with nothing"),
        ("in-band", Run::InternalError, "Error: internal error"),
        ("broken", Run::Refuse(500), "500"),
        ("hang", Run::Hang, "did not answer within 1s"),
        ("half", Run::Half, "in the middle"),
        ("disconnect", Run::Disconnect, "the agent failed"),
    ]
}

pub(crate) async fn turns_of(app: &TestApp, user: &str) -> Vec<Value> {
    let user = user.replace('+', "%2B");
    let (status, turns) = app.admin(Method::GET, &format!("/turns?user={user}"), Value::Null).await;
    assert_eq!(status, 200, "{turns}");
    turns["turns"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_says_when_it_fails_is_never_said_to_a_person() {
    let gateway = Gateway::chatting(|chat: &Chat, before| {
        let (what, when) = chat.text.split_once(' ').unwrap_or((&chat.text, ""));
        match failures().into_iter().find(|(name, ..)| *name == what) {
            Some((_, run, _)) if when == "always" || before == 0 => run,
            Some(_) => Run::Say("The answer.", Duration::ZERO),
            None if what == "silence" => Run::Say("no_reply", Duration::ZERO),
            None => Run::Refuse(401),
        }
    })
    .await;
    let app = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &gateway.url),
        ("OPENCLAW_TOKEN", "secret"),
        ("CLOUDYBOT__AGENT__TIMEOUT", "1s"),
    ])
    .await;

    for (number, (name, ..)) in failures().iter().enumerate() {
        app.write(&person(number), &format!("{name} once")).await;
        app.write(&person(100 + number), &format!("{name} always")).await;
    }
    app.write(&person(200), "silence").await;
    app.write(&person(201), "unauthorized").await;
    app.drained().await;

    for (number, (name, _, kept)) in failures().iter().enumerate() {
        assert_eq!(app.said_to(&person(number)), ["The answer."], "{name} once");
        let turn = &turns_of(&app, &person(number)).await[0];
        assert_eq!(
            (&turn["state"], turn["attempts"].as_array().unwrap().len()),
            (&json!("replied"), 2),
            "{turn}"
        );
        assert!(turn["attempts"][0]["error"].as_str().unwrap().contains(kept), "{turn}");
        assert!(turn["latencyMs"].as_i64().is_some() && turn["agent"] == "openclaw", "{turn}");

        assert_eq!(app.said_to(&person(100 + number)), [APOLOGY], "{name} always");
        let turn = &turns_of(&app, &person(100 + number)).await[0];
        assert_eq!(
            (&turn["state"], turn["attempts"].as_array().unwrap().len()),
            (&json!("failed"), 3),
            "{turn}"
        );
        assert!(turn["error"].as_str().unwrap().contains(kept), "{turn}");
    }
    assert!(app.said_to(&person(200)).is_empty());
    assert_eq!(turns_of(&app, &person(200)).await[0]["state"], "silent");
    assert_eq!(app.said_to(&person(201)), [APOLOGY]);
    let refused = &turns_of(&app, &person(201)).await[0];
    assert_eq!(
        refused["attempts"].as_array().unwrap().len(),
        1,
        "what cannot work is not tried again: {refused}"
    );
    assert!(refused["error"].as_str().unwrap().contains("check the agent's token"), "{refused}");
    assert!(!app.logged().contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_messages_within_a_second_are_one_turn_in_their_order() {
    let gateway = Gateway::chatting(|_, _| Run::Say("Five.", Duration::ZERO)).await;
    let app = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &gateway.url),
        ("CLOUDYBOT__AGENT__DEBOUNCE", "1500ms"),
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP", "6s"),
    ])
    .await;

    for word in ["one", "two", "three", "four", "five"] {
        app.write(PERSON, word).await;
    }
    app.drained_well().await;
    app.write(PERSON, "/status").await;
    app.replies(PERSON, 2).await;

    let chats = gateway.chats();
    let texts: Vec<&str> = chats.iter().map(|chat| chat.text.as_str()).collect();
    assert_eq!(texts, ["one\ntwo\nthree\nfour\nfive", "/status"]);
    let waited = "SELECT (1000 * min(extract(epoch FROM t.started_at - m.received_at)))::BIGINT
        FROM channel_turns t JOIN channel_messages m ON m.turn_id = t.id WHERE t.id = (SELECT";
    let waited = async |which: &str| {
        let sql = format!("{waited} {which}(id) FROM channel_turns)");
        sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql)).fetch_one(&app.pg).await.unwrap()
    };
    assert!(waited("min").await >= 1490, "the last word was waited for");
    assert!(waited("max").await < 1490, "a command is not waited for");
}

/// So many people write three times each, to an agent that takes its time.
async fn many_chat_at_once(
    people: usize,
    takes: impl Fn(usize) -> Duration + Send + Sync + 'static,
    patience: Duration,
) {
    const WORKERS: usize = 64;
    // However busy the machine is: the first runs wait until so many go on at once.
    const TOGETHER: usize = 16;
    let (begun, told) = (AtomicUsize::new(0), Arc::new(Semaphore::new(0)));
    let gateway = Gateway::chatting(move |chat, _| {
        let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
        if number == TOGETHER {
            told.add_permits(TOGETHER);
        }
        if number <= TOGETHER {
            return Run::SayWhenTold("Yes.", told.clone());
        }
        let user: usize = chat.user.bytes().map(usize::from).sum();
        Run::Say("Yes.", takes(chat.text.len() * 31 + chat.user.len() * 17 + user))
    })
    .await;
    let app = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &gateway.url),
        ("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "1ms"),
        // The service's own: the tests' is for machines with nothing else to do.
        ("CLOUDYBOT__QUEUE__LEASE", "30s"),
    ])
    .await;
    for number in 0..people {
        app.link(&person(number)).await;
    }

    for round in 1..=3 {
        for number in 0..people {
            app.write(&person(number), &format!("message {round}")).await;
        }
    }
    app.drained_well_within(patience).await;

    let mut by_person: BTreeMap<String, Vec<Chat>> = BTreeMap::new();
    for chat in gateway.chats() {
        by_person.entry(chat.user.clone()).or_default().push(chat);
    }
    assert_eq!(by_person.len(), people);
    for (user, chats) in &by_person {
        let said: Vec<&str> = chats.iter().flat_map(|chat| chat.text.lines()).collect();
        assert_eq!(said, ["message 1", "message 2", "message 3"], "{user}");
        let overlap = chats.windows(2).any(|pair| pair[1].began < pair[0].ended.unwrap());
        assert!(!overlap, "two turns of {user} at a time");
    }
    let chats = gateway.chats();
    let at_once = |moment: std::time::Instant| {
        chats.iter().filter(|chat| chat.began <= moment && moment < chat.ended.unwrap()).count()
    };
    let most = chats.iter().map(|chat| at_once(chat.began)).max().unwrap();
    assert!((TOGETHER..=WORKERS).contains(&most), "{most} turns at a time");
    assert_eq!(app.count("SELECT max(calls)::BIGINT FROM channel_turns").await, Some(1));
    assert!(!app.logged().contains("Lost the lease"));
    for number in 0..people {
        let replies = app.said_to(&person(number));
        assert!(
            (1..=3).contains(&replies.len()) && replies.iter().all(|reply| reply == "Yes."),
            "{replies:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_people_chat_at_once_each_in_order() {
    let takes = |chance: usize| Duration::from_millis(200 + (chance * 7919 % 1800) as u64);
    many_chat_at_once(200, takes, Duration::from_secs(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; run it with `cargo test --test integration agents_that_take_up_to_twenty -- --ignored`"]
async fn two_hundred_people_chat_at_once_with_agents_that_take_up_to_twenty_seconds() {
    let takes = |chance: usize| Duration::from_millis(2000 + (chance * 7919 % 18_000) as u64);
    many_chat_at_once(200, takes, Duration::from_secs(400)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_a_turn_asks_again_and_answers_once() {
    let gateway = Gateway::chatting(|_, before| {
        Run::Say("Done.", if before == 0 { Duration::from_secs(30) } else { Duration::ZERO })
    })
    .await;
    let mut app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;
    app.write(PERSON, "Do it").await;
    app.until("the agent is asked", async || gateway.chats().len() == 1).await;

    app.kill();
    app.launch().await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON), ["Done."]);
    let turn = &turns_of(&app, PERSON).await[0];
    let attempts = turn["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "the second call is seen as such: {turn}");
    assert_eq!(attempts[0]["endedAt"], Value::Null, "nobody was there to end the first: {turn}");
    assert_eq!(gateway.chats()[0].user, gateway.chats()[1].user, "both in one session");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_quotes_of_a_message_is_in_no_log_alert_or_table_of_errors() {
    let gateway = Gateway::chatting(|_, before| Run::Quote([500, 401, 400][before.min(2)])).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    app.write(PERSON, "My doctor says it is serious").await;
    app.drained().await;

    let kept = [
        app.text("SELECT string_agg(error, '|') FROM channel_agent_calls").await,
        app.text("SELECT string_agg(error, '|') FROM channel_turns").await,
        app.text("SELECT string_agg(error, '|') FROM queue.attempts").await,
        app.text("SELECT string_agg(reason, '|') FROM queue.dead").await,
        app.logged(),
    ];
    for kept in &kept {
        assert!(kept.contains("cannot read \"[…]\" of whatsapp:+…0100"), "{kept}");
    }
    let alerts = app.text("SELECT coalesce(string_agg(detail, '|'), '') FROM channel_alerts").await;
    for kept in kept.iter().chain([&alerts]) {
        assert!(!kept.contains("doctor") && !kept.contains("15005550100"), "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_of_a_gateway_that_would_take_no_turn() {
    let gateway = Gateway::chatting(|_, _| Run::Refuse(500)).await;
    let unauthorized = json!({ "error": { "message": "Unauthorized", "type": "unauthorized" } });
    let refusing = Gateway::start(Duration::ZERO, [(404, json!({}))]).await;
    refusing.says_of_its_models(401, unauthorized);
    let app = TestApp::start().await;
    let nowhere = format!("http://{}", crate::support::processes::free_address());

    let (_, reached) = app.command_with(&[("OPENCLAW_BASE_URL", &gateway.url)], &["check"]).await;
    let (accepted, refused) = app.command_with(&[("OPENCLAW_BASE_URL", &refusing.url)], &["check"]).await;
    let (well, unreached) = app.command_with(&[("OPENCLAW_BASE_URL", &nowhere)], &["check"]).await;

    assert!(reached.contains("ok     agent"), "{reached}");
    assert!(gateway.chats().is_empty(), "nobody's turn is run for it");
    assert!(
        !accepted && refused.contains("NOW    agent") && refused.contains("check the agent's token"),
        "{refused}"
    );
    assert!(
        !well && unreached.contains("NOW    agent") && unreached.contains("check OPENCLAW_BASE_URL"),
        "{unreached}"
    );
}
