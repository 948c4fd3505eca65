//! What an operator asks about what people wrote and what left: lists, one thing, its story, sends in doubt, and another try by name.

mod chunks;
mod in_doubt;
mod resends;

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

async fn get(app: &TestApp, path: &str) -> Value {
    let (status, answer) = app.admin(Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

async fn run_sql(app: &TestApp, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&app.pg).await.unwrap();
}

/// Somebody writes, and Twilio takes the reply with these faults.
async fn written_with(app: &TestApp, faults: Faults, said: &str) {
    app.sandbox.set_faults(faults);
    app.write(PERSON, said).await;
    app.drained().await;
    app.sandbox.set_faults(Faults::default());
}

/// A reply that WhatsApp takes and then does not deliver.
async fn failed_later(app: &TestApp) {
    app.sandbox.set_faults(Faults { fail_later: 1.0, fail_later_code: 63024, ..Faults::default() });
    app.write(PERSON, "Hello").await;
    app.until("Twilio has reported it", async || {
        app.count("SELECT count(*) FROM channel_deliveries WHERE state = 'failed'").await == Some(1)
    })
    .await;
    app.drained_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_twilio_refuses_is_found_by_its_state_its_code_its_number_and_its_message() {
    let app = TestApp::start().await;
    written_with(&app, Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() }, "Hello").await;
    app.write(PERSON, "And again").await;
    app.drained().await;

    let failed = get(&app, "/deliveries?state=failed").await;
    let delivery = &failed["deliveries"][0];
    assert_eq!(failed["deliveries"].as_array().unwrap().len(), 1, "{failed}");
    assert_eq!(
        (&delivery["user"], &delivery["to"], &delivery["purpose"]),
        (&json!(PERSON), &json!("whatsapp:+1500…0100"), &json!("reply"))
    );
    let chunk = &delivery["chunks"][0];
    assert_eq!(
        (&chunk["state"], &chunk["meterProactive"], &chunk["proactive"]),
        (&json!("failed"), &json!(false), &json!(false))
    );
    assert_eq!(chunk["error"]["code"], 21211);
    assert!(chunk["error"]["cause"].as_str().unwrap().contains("number"), "{chunk}");
    for path in [
        "/deliveries?state=undelivered",
        "/deliveries?errorCode=21211",
        "/deliveries?number=%2B1%20(500)%20555-0100&state=failed",
        "/deliveries?number=0015005550100&errorCode=21211",
        "/deliveries?user=whatsapp:%2B15005550100&state=failed&purpose=reply",
        &format!(
            "/deliveries?reason={}&since=2020-01-01T00:00:00Z",
            &delivery["reason"].as_str().unwrap()[..4]
        ),
    ] {
        let found = get(&app, path).await;
        let ids: Vec<&Value> =
            found["deliveries"].as_array().unwrap().iter().map(|found| &found["id"]).collect();
        assert_eq!(ids, [&delivery["id"]], "{path}");
    }
    for path in
        ["/deliveries?errorCode=63024", "/deliveries?number=%2B15005550199", "/deliveries?user=nobody"]
    {
        assert_eq!(get(&app, path).await["deliveries"], json!([]), "{path}");
    }

    let message = get(&app, "/messages").await["messages"][1].clone();
    assert_eq!((&message["outcome"], &message["delivery"]["state"]), (&json!("answered"), &json!("failed")));
    let turn = get(&app, &format!("/turns/{}", message["turn"])).await;
    assert_eq!(
        (&turn["delivery"]["id"], &turn["delivery"]["error"]["code"]),
        (&delivery["id"], &json!(21211))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_message_says_in_its_first_line_why_the_person_got_nothing() {
    let app = TestApp::start().await;
    failed_later(&app).await;
    let sid = app.text("SELECT sid FROM channel_messages").await;
    let delivery = app.text("SELECT id::TEXT FROM channel_deliveries").await;

    let story = get(&app, "/messages/1/story").await;
    for of in [sid.as_str(), delivery.as_str(), "turn:1", "chunk:1"] {
        assert_eq!(get(&app, &format!("/messages/{of}/story")).await, story, "{of}");
    }
    let (well, told) = app.command(&["story", &sid]).await;
    let nothing = app.admin(Method::GET, "/messages/SM00000000/story", Value::Null).await;

    let verdict = story["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("The person got nothing") && verdict.contains("63024"), "{verdict}");
    assert!(story["remedy"].as_str().unwrap().contains("WhatsApp"), "{story}");
    assert_eq!(story["forgotten"], json!([]));
    let steps = story["steps"].as_array().unwrap();
    let times: Vec<&str> = steps.iter().map(|step| step["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let place = |part: &str, words: &str| {
        let found = steps
            .iter()
            .position(|step| step["part"] == part && step["what"].as_str().unwrap().contains(words));
        found.unwrap_or_else(|| panic!("no step of the {part} says {words}: {steps:#?}"))
    };
    let order = [
        place("job", "receive_message: enqueued"),
        place("job", "answer: enqueued"),
        place("turn", "call 1 of the agent answered"),
        place("delivery", "reply planned in 1 part"),
        place("chunk", "attempt 1: Twilio took it as"),
        place("delivery", "nothing is left to send"),
        place("chunk", "Twilio reports undelivered"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    place("message", "webhook received");
    place("job", "send_chunk: done");
    assert!(!story.to_string().contains("Hello"), "words: {story}");
    assert!(well && told.starts_with(verdict), "{told}");
    assert_eq!(nothing.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_on_where_they_stopped_and_pass_nothing() {
    let app = TestApp::start().await;
    for word in ["One", "Two", "Three"] {
        app.write(PERSON, word).await;
        app.drained_well().await;
    }
    app.inject(&[("From", "whatsapp:+15005550177"), ("Body", "Who is there?")]).await;
    app.drained_well().await;

    for (path, list) in [("/deliveries", "deliveries"), ("/messages", "messages"), ("/turns", "turns")] {
        let whole = get(&app, path).await;
        let ids = |page: &Value| -> Vec<Value> {
            page[list].as_array().unwrap().iter().map(|row| row["id"].clone()).collect()
        };
        let (mut pages, mut before) = (Vec::new(), String::new());
        loop {
            let page = get(&app, &format!("{path}?limit=1{before}")).await;
            pages.extend(ids(&page));
            if page["next"].is_null() {
                break;
            }
            before = format!("&before={}", page["next"].to_string().trim_matches('"'));
        }
        assert_eq!(pages, ids(&whole), "{path}");
        assert!(pages.len() >= 3 && whole["next"].is_null(), "{whole}");
        // In the time of the first one, and after all of them.
        let now = app
            .text("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            .await;
        assert_eq!(ids(&get(&app, &format!("{path}?since={now}")).await), Vec::<Value>::new(), "{path}");
        assert_eq!(ids(&get(&app, &format!("{path}?until={now}")).await), pages, "{path}");
    }
    let unlinked = get(&app, "/messages?number=%2B15005550177&state=not_linked").await;
    assert_eq!(unlinked["messages"].as_array().unwrap().len(), 1, "{unlinked}");
    assert_eq!(unlinked["messages"][0]["delivery"]["state"], "delivered");
    assert_eq!(get(&app, "/turns?number=15005550100").await["turns"].as_array().unwrap().len(), 3);
    assert_eq!(get(&app, "/turns?number=15005550177").await["turns"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_or_name_that_nobody_knows_is_refused_with_the_known_ones() {
    let app = TestApp::start().await;

    for (path, status, words) in [
        ("/deliveries?sttate=failed", 400, "state"),
        ("/deliveries?state=lost", 422, "undelivered"),
        ("/deliveries?purpose=fun", 422, "notification"),
        ("/deliveries?number=alice", 422, "country"),
        ("/deliveries?user=alice&number=15005550100", 422, "not both"),
        ("/messages?state=lost", 422, "not_linked"),
        ("/messages?phone=1", 400, "number"),
        ("/turns?state=lost", 422, "replied"),
        ("/chunks/in-doubt?ask=true", 400, "askTwilio"),
        ("/messages/job:1/story", 404, "chunk:12"),
    ] {
        let (refused, problem) = app.admin(Method::GET, path, Value::Null).await;
        assert_eq!(refused, status, "{path}: {problem}");
        assert!(problem.to_string().contains(words), "{path}: {problem}");
    }
    for (arguments, words) in [
        (["deliveries", "list", "--state", "lost"], "undelivered"),
        (["messages", "list", "--state", "lost"], "not_linked"),
        (["turns", "list", "--state", "lost"], "replied"),
        (["deliveries", "list", "--number", "alice"], "country"),
    ] {
        let (well, told) = app.command(&arguments).await;
        assert!(!well && told.contains(words), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_what_failed_and_what_its_code_means() {
    let app = TestApp::start().await;
    written_with(&app, Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() }, "Hello").await;
    let id = app.text("SELECT id::TEXT FROM channel_deliveries").await;

    let (_, list) = app.command(&["deliveries", "list", "--state", "undelivered"]).await;
    let (_, shown) = app.command(&["deliveries", "show", &id]).await;
    let (_, messages) = app.command(&["messages", "list", "--number", "+1 500 555 0100"]).await;
    let (_, turns) = app.command(&["turns", "list", "--json"]).await;
    let (_, turn) = app.command(&["turns", "show", "1"]).await;

    assert!(
        list.contains(&id) && list.contains("21211: The number is none that can be written to."),
        "{list}"
    );
    assert!(
        shown.contains("meterProactive false, proactive false") && shown.contains("attempt 1: refused"),
        "{shown}"
    );
    assert!(messages.contains("failed (21211)") && messages.contains("+1500…0100"), "{messages}");
    let turns: Value = serde_json::from_str(&turns).unwrap();
    assert_eq!(turns["turns"][0]["delivery"]["state"], "failed");
    assert!(turn.contains("delivery.error.code"), "{turn}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_was_refused_is_sent_anew_by_its_id_once() {
    let app = TestApp::start().await;
    written_with(&app, Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() }, "Hello").await;
    let id = app.text("SELECT id::TEXT FROM channel_deliveries").await;

    let (well, told) = app.command(&["deliveries", "resend", &id]).await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;
    let (status, again) = app.admin(Method::POST, &format!("/deliveries/{id}/resend"), Value::Null).await;
    let story = get(&app, "/messages/1/story").await;

    assert!(well && told.contains("in 1 chunk"), "{told}");
    assert_eq!((status, &again["code"]), (409, &json!("refused")));
    assert!(again["detail"].as_str().unwrap().contains("resent already"), "{again}");
    assert_eq!(story["deliveries"].as_array().unwrap().len(), 2, "{story}");
    let verdict = story["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("The reply "), "{verdict}");
    let shown = get(&app, &format!("/deliveries/{id}")).await;
    assert_eq!(shown["resentAs"], story["deliveries"][1]);
    assert_eq!(app.said_to(PERSON).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_turn_is_answered_once_more_by_its_number() {
    let app = TestApp::start_with(&[("CLOUDYBOT__AGENT__ATTEMPTS", "1")]).await;
    app.write(PERSON, "/fail").await;
    app.drained().await;
    let (_, before) = app.command(&["story", "1"]).await;

    let (status, retried) = app.admin(Method::POST, "/turns/1/retry", Value::Null).await;
    app.drained().await;
    let again = app.admin(Method::POST, "/turns/1/retry", Value::Null).await;
    let (well, nowhere) = app.command(&["turns", "retry", "99", "--force"]).await;
    let story = get(&app, "/messages/1/story").await;

    assert!(before.contains("cloudybot turns retry 1"), "{before}");
    assert_eq!(status, 200, "{retried}");
    assert_eq!(again.0, 409, "{}", again.1);
    assert!(!well && nowhere.contains("there is no turn 99"), "{nowhere}");
    assert_eq!(story["turns"], json!([1, 2]));
    assert_eq!(get(&app, "/turns/1").await["retriedAs"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_job_is_gone_gets_its_job_again_and_one_that_ended_stays_ended() {
    let app = TestApp::start().await;
    app.write(PERSON, "Before").await;
    app.drained_well().await;
    app.admin(Method::POST, "/jobs/pause", json!({ "scope": "pool", "name": "inbound" })).await;
    app.write(PERSON, "Lost").await;
    let waiting = app.admin(Method::POST, "/messages/2/replay", Value::Null).await;
    let paused = get(&app, "/messages/2/story").await;
    run_sql(&app, "DELETE FROM queue.jobs WHERE kind = 'receive_message'").await;
    let lost = get(&app, "/messages/2/story").await;

    let (well, told) = app.command(&["messages", "replay", "2"]).await;
    let again = app.admin(Method::POST, "/messages/2/replay", Value::Null).await;
    app.admin(Method::POST, "/jobs/resume", json!({ "scope": "pool", "name": "inbound" })).await;
    app.drained_well().await;
    let ended = app.admin(Method::POST, "/messages/2/replay", Value::Null).await;
    let nowhere = app.admin(Method::POST, "/messages/99/replay", Value::Null).await;

    assert_eq!(waiting.0, 409, "{}", waiting.1);
    assert!(paused["verdict"].as_str().unwrap().contains("pool inbound or its kind is paused"), "{paused}");
    assert!(lost["remedy"].as_str().unwrap().contains("cloudybot messages replay 2"), "{lost}");
    assert!(well && told.contains("inbound:"), "{told}");
    assert!(again.1["detail"].as_str().unwrap().contains("is at work on it"), "{}", again.1);
    assert!(ended.1["detail"].as_str().unwrap().contains("it has its end: answered"), "{}", ended.1);
    assert_eq!((again.0, ended.0, nowhere.0), (409, 409, 404));
    assert_eq!(app.replies(PERSON, 2).await.len(), 2);
    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_message_without_a_job_is_answered_once_and_an_old_keyword_is_never_obeyed_again() {
    let app = TestApp::start().await;
    app.write(PERSON, "STOP").await;
    app.write(PERSON, "START").await;
    app.drained_well().await;
    app.admin(Method::POST, "/jobs/pause", json!({ "scope": "pool", "name": "conversation" })).await;
    app.write(PERSON, "Hello").await;
    app.until("the answer waits", async || {
        app.count("SELECT count(*) FROM queue.jobs WHERE kind = 'answer'").await == Some(1)
    })
    .await;
    run_sql(&app, "DELETE FROM queue.jobs WHERE kind = 'answer'").await;
    // As a database that was restored from parts.
    run_sql(
        &app,
        "UPDATE channel_messages SET outcome = NULL, outcome_reason = NULL, outcome_at = NULL WHERE id = 1",
    )
    .await;
    app.admin(Method::POST, "/jobs/resume", json!({ "scope": "pool", "name": "conversation" })).await;

    let (answer, told) = app.admin(Method::POST, "/messages/3/replay", Value::Null).await;
    let (keyword, obeyed) = app.admin(Method::POST, "/messages/1/replay", Value::Null).await;
    app.drained_well().await;

    assert_eq!((answer, keyword), (200, 200), "{told} {obeyed}");
    assert!(told["done"].as_str().unwrap().contains("conversation:"), "{told}");
    assert_eq!(app.user(PERSON).await["optedOut"], false);
    assert_eq!(app.text("SELECT outcome FROM channel_messages WHERE id = 1").await, "keyword");
    // Two confirmations, and one answer.
    assert_eq!(app.said_to(PERSON).len(), 3, "{:?}", app.said_to(PERSON));
}
