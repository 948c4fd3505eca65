//! The time for a turn: a gateway that is away or wants us to wait uses up no call, and when the time is over there is one apology. Whoever waits is told once.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::agent::{APOLOGY, turns_of};
use crate::gateway::{Gateway, Run};
use crate::support::processes::free_address;
use crate::support::{PERSON, TestApp};

/// Writes, and gets nothing but an apology; the turn, after so many requests to the gateway.
async fn apology(app: &TestApp, gateway: &Gateway, requests: usize) -> Value {
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;
    app.drained().await;
    assert_eq!(app.said_to(PERSON), [APOLOGY]);
    assert_eq!(gateway.chats().len(), requests);
    the_turn(app).await
}

/// Waits until the agent was asked so often under one number, and is left alone.
async fn tried(app: &TestApp, times: i64) {
    app.until("the agent is asked again", async || {
        let tries = "SELECT max(a.tries)::BIGINT FROM channel_agent_calls a JOIN channel_turns t ON t.id = a.turn_id WHERE t.ask_again_at IS NOT NULL";
        app.count(tries).await >= Some(times)
    })
    .await;
}

async fn the_turn(app: &TestApp) -> Value {
    let mut turns = turns_of(app, PERSON).await;
    assert_eq!(turns.len(), 1, "{turns:?}");
    turns.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_away_for_some_seconds_is_asked_once_and_nobody_reads_an_apology() {
    let address = free_address();
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &format!("http://{address}"))]).await;

    app.write(PERSON, "Hello").await;
    tried(&app, 3).await;
    let waiting = the_turn(&app).await;
    let gateway = Gateway::chatting_at(address, |_, _| Run::Say("I am back.", Duration::ZERO)).await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(waiting["state"], "running");
    assert_eq!(app.said_to(PERSON), ["I am back."]);
    assert_eq!(gateway.chats().len(), 1);
    let turn = the_turn(&app).await;
    assert_eq!((&turn["state"], &turn["runs"]), (&json!("replied"), &json!(1)), "{turn}");
    assert_eq!(turn["attempts"].as_array().unwrap().len(), 1, "{turn}");
    assert!(turn["attempts"][0]["tries"].as_i64() >= Some(4), "{turn}");
    assert_eq!(turn["askAgainAt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_that_a_gateway_asks_for_are_kept_and_use_up_no_call() {
    let gateway = Gateway::chatting(|_, before| match before {
        0 => Run::NotReady(2),
        1 => Run::Busy(3),
        2 => Run::Refuse(500),
        3 => Run::NotReady(1),
        _ => Run::Say("Yes.", Duration::ZERO),
    })
    .await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__ATTEMPTS", "2")];
    let app = TestApp::start_with(&env).await;

    app.write(PERSON, "Hello").await;
    app.until("the agent is asked", async || gateway.chats().len() == 1).await;
    // It moves the conversation's job, and the wait is kept all the same.
    app.write(PERSON, "Are you there?").await;
    app.replies(PERSON, 1).await;

    let began: Vec<_> = gateway.chats().iter().take(3).map(|chat| chat.began).collect();
    assert!(began[1] - began[0] >= Duration::from_secs(2), "{began:?}");
    assert!(began[2] - began[1] >= Duration::from_secs(3), "{began:?}");
    let first = turns_of(&app, PERSON).await.pop().unwrap();
    assert_eq!((&first["state"], &first["runs"]), (&json!("replied"), &json!(2)), "{first}");
    let tries: Vec<&Value> = first["attempts"].as_array().unwrap().iter().map(|a| &a["tries"]).collect();
    assert_eq!(tries, [3, 2], "{first}");
    app.drained_well().await;
    assert_eq!(app.said_to(PERSON), ["Yes.", "Yes."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_of_five_minutes_is_kept_as_a_whole() {
    for wait in [Run::LockedOut(300), Run::Busy(300), Run::NotReady(300)] {
        let gateway = Gateway::chatting(move |_, _| wait.clone()).await;
        let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

        app.write(PERSON, "Hello").await;
        let asked_again = "SELECT extract(epoch FROM ask_again_at - clock_timestamp())::BIGINT FROM channel_turns WHERE ask_again_at IS NOT NULL";
        app.until("the agent is left alone", async || app.count(asked_again).await.is_some()).await;

        let left = app.count(asked_again).await.unwrap();
        assert!((200..=300).contains(&left), "{left} s");
        assert_eq!((the_turn(&app).await["state"].as_str(), gateway.chats().len()), (Some("running"), 1));
        assert!(app.said_to(PERSON).is_empty(), "and nobody apologises");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_beyond_the_time_for_the_turn_ends_it_at_once() {
    let gateway = Gateway::chatting(|_, _| Run::Busy(300)).await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__TURN_BUDGET", "200s")];
    let app = TestApp::start_with(&env).await;

    let turn = apology(&app, &gateway, 1).await;

    assert!(turn["error"].as_str().unwrap().contains("429"), "{turn}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_given_up_when_the_time_for_its_turn_is_over() {
    let gateway = Gateway::chatting(|_, _| Run::Hang).await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__TURN_BUDGET", "2s")];
    let app = TestApp::start_with(&env).await;

    let turn = apology(&app, &gateway, 1).await;

    assert!(turn["error"].as_str().unwrap().contains("did not answer within"), "{turn}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_again_within_a_call_is_one_run_and_the_end() {
    let gateway = Gateway::chatting(|_, _| Run::Uncorrectable).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    // In a stream and as a whole, and never a third time.
    let turn = apology(&app, &gateway, 2).await;

    assert_eq!(turn["runs"], 1, "{turn}");
    assert!(turn["error"].as_str().unwrap().contains("had tried several times itself"), "{turn}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_for_a_turn_goes_on_through_a_crash_and_ends_in_one_apology() {
    let address = free_address();
    let env = [
        ("OPENCLAW_BASE_URL", format!("http://{address}")),
        ("CLOUDYBOT__AGENT__TURN_BUDGET", "6s".to_owned()),
    ];
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut app = TestApp::start_with(&env).await;
    app.write(PERSON, "Hello").await;
    tried(&app, 2).await;

    app.kill();
    app.launch().await;
    app.replies(PERSON, 1).await;
    app.drained().await;

    assert_eq!(app.said_to(PERSON), [APOLOGY]);
    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(1));
    let turn = the_turn(&app).await;
    assert!(turn["error"].as_str().unwrap().contains("cannot reach"), "{turn}");
    assert_eq!(turn["runs"], 0, "{turn}");
}

const DELAYED: &str = "This is taking longer than usual. I'm still working on it.";

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_though_the_process_was_away_for_longer_than_its_turn_may_take() {
    let gateway = Gateway::chatting(|_, before| match before {
        0 => Run::Hang,
        _ => Run::Say("Here it is.", Duration::ZERO),
    })
    .await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__TURN_BUDGET", "5s")];
    let mut app = TestApp::start_with(&env).await;
    app.write(PERSON, "Where is it?").await;
    app.until("the agent is asked", async || gateway.chats().len() == 1).await;

    app.kill();
    app.until("the time for the turn is over", async || {
        let over = "SELECT count(*) FROM channel_turns WHERE started_at < clock_timestamp() - interval '5 s'";
        app.count(over).await == Some(1)
    })
    .await;
    app.launch().await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON), ["Here it is."]);
    assert_eq!(the_turn(&app).await["runs"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_waits_is_told_once_though_the_process_dies_and_the_agent_is_called_again() {
    let told = Arc::new(Semaphore::new(0));
    let ends = told.clone();
    let gateway = Gateway::chatting(move |_, before| match before {
        0 => Run::Hang,
        _ => Run::SayWhenTold("Done.", ends.clone()),
    })
    .await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__TELL_AFTER", "1s")];
    let mut app = TestApp::start_with(&env).await;

    app.write(PERSON, "Do it").await;
    app.until("the turn is noted as told of", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE told_at IS NOT NULL").await == Some(1)
    })
    .await;
    app.kill();
    app.launch().await;
    app.replies(PERSON, 1).await;
    app.until("the agent is called again", async || gateway.chats().len() == 2).await;
    told.add_permits(1);
    app.replies(PERSON, 2).await;
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON), [DELAYED, "Done."]);
    let turn = the_turn(&app).await;
    assert!(turn["toldAt"].is_string(), "{turn}");
    let notices = "SELECT count(*) FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
                   WHERE d.purpose = 'notice' AND NOT c.has_footer AND NOT c.meter_proactive";
    assert_eq!(app.count(notices).await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_while_the_agent_is_left_alone() {
    let gateway = Gateway::chatting(|_, before| match before {
        0 => Run::Busy(4),
        _ => Run::Say("Yes.", Duration::ZERO),
    })
    .await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__TELL_AFTER", "1s")];
    let app = TestApp::start_with(&env).await;

    app.write(PERSON, "STOP").await;
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 3).await;
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON)[1..], [DELAYED, "Yes."], "also after STOP, which is about other messages");
    let chats = gateway.chats();
    assert!(chats[1].began - chats[0].began >= Duration::from_secs(4), "the wait is kept");
    let turn = the_turn(&app).await;
    let moment = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert!(moment(&turn["toldAt"]) < moment(&turn["attempts"][0]["startedAt"]), "{turn}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_goes_on_seeing_that_it_works_while_the_agent_is_left_alone() {
    let gateway = Gateway::chatting(|_, before| match before {
        // Twilio's indicator lasts for 25 seconds.
        0 => Run::Busy(24),
        _ => Run::Say("Yes.", Duration::ZERO),
    })
    .await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    app.write(PERSON, "Hello").await;
    app.until("typing is shown once more", async || {
        let messages = app.sandbox.messages();
        let shown = messages.iter().find_map(|message| Some(message.typing_at? - message.created_at));
        shown.is_some_and(|shown| shown.num_seconds() >= 15)
    })
    .await;
    let asked_so_far = gateway.chats().len();
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(asked_so_far, 1, "the wait goes on");
    assert_eq!(app.said_to(PERSON), ["Yes."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_a_question_from_the_dashboard_or_of_a_schedules_prompt() {
    let gateway = Gateway::chatting(|_, _| Run::Say("Done.", Duration::from_millis(1500))).await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__TELL_AFTER", "100ms")];
    let app = TestApp::start_with(&env).await;
    app.link(PERSON).await;
    let user = PERSON.replace('+', "%2B");

    app.product(Method::POST, &format!("/users/{user}/messages"), json!({ "text": "Hello" })).await;
    app.drained_well().await;
    ask_about_the_weather(&app).await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(gateway.chats().len(), 2);
    assert_eq!(app.count("SELECT count(*) FROM channel_turns WHERE told_at IS NOT NULL").await, Some(0));
    assert_eq!(app.count("SELECT count(*) FROM channel_deliveries WHERE purpose = 'notice'").await, Some(0));
}

/// Fires a schedule that asks the agent about the weather, for one person.
async fn ask_about_the_weather(app: &TestApp) {
    app.link(PERSON).await;
    let file =
        format!("cron = \"0 0 29 2 *\"\n[audience]\nuser = \"{PERSON}\"\n[content]\nprompt = \"Weather?\"\n");
    app.write_schedule("asks", &file);
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    assert!(app.command(&["schedules", "fire", "asks"]).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_keeps_the_wait_that_a_gateway_asks_for_and_lets_people_chat_meanwhile() {
    let gateway = Gateway::chatting(|chat, before| match (chat.text.as_str(), before) {
        ("Weather?", 0) => Run::NotReady(2),
        ("Weather?", 1) => Run::Busy(3),
        ("Weather?", _) => Run::Say("Rain.", Duration::ZERO),
        _ => Run::Say("Yes.", Duration::ZERO),
    })
    .await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__ATTEMPTS", "1")];
    let app = TestApp::start_with(&env).await;

    ask_about_the_weather(&app).await;
    app.until("the agent is left alone", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'running' AND ask_again_at IS NOT NULL")
            .await
            == Some(1)
    })
    .await;
    app.write(PERSON, "Are you there?").await;
    app.replies(PERSON, 2).await;
    app.drained_well().await;

    let said = app.said_to(PERSON);
    assert_eq!(said[0], "Yes.", "the person was not kept waiting");
    assert!(said[1].starts_with("Rain."), "{said:?}");
    let began: Vec<_> =
        gateway.chats().iter().filter(|chat| chat.text == "Weather?").map(|chat| chat.began).collect();
    assert!(began[2] - began[1] >= Duration::from_secs(3), "{began:?}");
    assert_eq!(app.text("SELECT outcome || ' ' || runs FROM channel_slot_users").await, "planned 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_run_as_often_as_a_question() {
    let gateway = Gateway::chatting(|_, _| Run::Refuse(500)).await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__ATTEMPTS", "2")];
    let app = TestApp::start_with(&env).await;

    ask_about_the_weather(&app).await;
    app.until("the slot has ended", async || {
        app.count("SELECT count(*) FROM channel_slots WHERE state = 'failed'").await == Some(1)
    })
    .await;
    app.drained_well().await;

    assert_eq!(gateway.chats().len(), 2);
    assert_eq!(app.text("SELECT outcome || ' ' || runs FROM channel_slot_users").await, "agent_failed 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_whose_wait_ends_after_the_slots_time_is_given_up() {
    // Two hours is what a slot has.
    let gateway = Gateway::chatting(|_, _| Run::Busy(7201)).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    ask_about_the_weather(&app).await;
    app.until("the slot has ended", async || {
        app.count("SELECT count(*) FROM channel_slots WHERE state = 'failed'").await == Some(1)
    })
    .await;
    app.drained_well().await;

    assert_eq!(gateway.chats().len(), 1);
    let part = app.text("SELECT outcome || ' ' || runs || ' ' || reason FROM channel_slot_users").await;
    assert!(part.starts_with("agent_failed 0 ") && part.contains("429"), "{part}");
}
