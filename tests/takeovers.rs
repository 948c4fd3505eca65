//! A person of the operator's answers instead of the agent.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{Chat, Gateway, Run};
use crate::support::{ADMIN_TOKEN, PERSON, TestApp};

fn path(action: &str) -> String {
    format!("/users/{}/{action}", PERSON.replace('+', "%2B"))
}

async fn take_over(app: &TestApp) -> Value {
    let (status, takeover) = app.admin(Method::PUT, &path("takeover"), Value::Null).await;
    assert_eq!(status, 200, "{takeover}");
    takeover
}

async fn answer(app: &TestApp, key: &str, text: &str) -> (u16, Value) {
    let url = app.url(&format!("/admin/api{}", path("answers")));
    let request = app.http.post(url).bearer_auth(ADMIN_TOKEN).header("Idempotency-Key", key);
    let answer = request.json(&json!({ "text": text })).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn give_back(app: &TestApp) -> u16 {
    app.admin(Method::DELETE, &path("takeover"), Value::Null).await.0
}

async fn waiting(app: &TestApp) -> Value {
    app.admin(Method::GET, "/takeovers", Value::Null).await.1["takeovers"][0]["waiting"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_taken_over_is_answered_by_hand_and_the_agent_answers_what_is_left() {
    let app = TestApp::start().await;
    assert_eq!(app.admin(Method::PUT, &path("takeover"), Value::Null).await.0, 404, "nothing was said");
    app.write(PERSON, "Hello").await;
    app.drained_well().await;
    assert_eq!(answer(&app, "early", "Hi").await.1["code"], "not_taken_over");

    let takeover = take_over(&app).await;
    app.write(PERSON, "Is anybody there?").await;
    app.write(PERSON, "Anybody?").await;
    app.drained_well().await;
    assert_eq!((app.said_to(PERSON).len(), waiting(&app).await), (1, json!(2)), "the agent rests");
    let (status, first) = answer(&app, "one", "Yes, *I* am.").await;
    let (_, again) = answer(&app, "one", "Yes, *I* am.").await;
    let (other_status, other) = answer(&app, "one", "Something else").await;
    let (_, more) = answer(&app, "two", "How can I help?").await;
    app.drained_well().await;
    app.write(PERSON, "Thanks").await;
    app.drained_well().await;
    assert_eq!(give_back(&app).await, 204);
    app.drained_well().await;

    assert_eq!((&takeover["by"], &takeover["waiting"]), (&json!("administrator"), &json!(0)));
    assert_eq!((status, &first["answered"], &first["duplicate"]), (202, &json!(2), &json!(false)));
    assert_eq!((&again["turn"], &again["duplicate"]), (&first["turn"], &json!(true)));
    assert!(other_status == 422 && other["detail"].as_str().unwrap().contains("another answer"), "{other}");
    assert_eq!((&more["answered"], give_back(&app).await), (&json!(0), 404));
    let said = app.said_to(PERSON);
    assert_eq!(said[1..3], ["Yes, *I* am.", "How can I help?"]);
    assert!(said.len() == 4 && said[3].contains("Thanks"), "{said:?}");
    assert_eq!(
        app.text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM channel_messages").await,
        "answered answered answered answered"
    );
    assert_eq!(
        app.text("SELECT string_agg(action, ', ' ORDER BY id) FROM queue.audit").await,
        "take over, answer by hand, answer by hand, give back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_under_way_comes_to_nothing_and_its_message_waits_for_the_person() {
    let gateway = Gateway::chatting(|chat: &Chat, _| match chat.text.as_str() {
        "Hello" => Run::Say("Too late.", Duration::from_secs(2)),
        _ => Run::Say("The agent is back.", Duration::ZERO),
    })
    .await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("OPENCLAW_TOKEN", "secret")];
    let app = TestApp::start_with(&env).await;
    app.write(PERSON, "Hello").await;
    app.until("the agent is asked", async || gateway.chats().len() == 1).await;

    take_over(&app).await;
    let (_, answered) = answer(&app, "one", "A person speaks.").await;
    app.drained_well().await;
    app.write(PERSON, "Thanks").await;
    give_back(&app).await;
    app.drained_well().await;

    let asked = gateway.chats().pop().unwrap().text;
    assert!(
        asked.contains("The user: Hello\nThe person: A person speaks.") && asked.contains("Thanks"),
        "{asked}"
    );
    assert_eq!(answered["answered"], 1);
    assert_eq!(app.said_to(PERSON), ["A person speaks.", "The agent is back."]);
    assert_eq!(
        app.text("SELECT string_agg(state || ' ' || agent, ', ' ORDER BY id) FROM channel_turns").await,
        "silent openclaw, replied person, replied openclaw"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_that_nobody_goes_on_with_ends_by_itself_and_no_message_is_left() {
    let mut app = TestApp::start_with(&[
        ("CLOUDYBOT__TAKEOVERS__LASTS", "3s"),
        ("CLOUDYBOT__ALERTS__LOOK_EVERY", "1s"),
    ])
    .await;
    app.write(PERSON, "Hello").await;
    app.replies(PERSON, 1).await;

    take_over(&app).await;
    app.write(PERSON, "Is anybody there?").await;
    app.kill();
    app.launch().await;

    let said = app.replies(PERSON, 2).await;
    assert!(said[1].body.contains("Is anybody there?"), "{said:?}");
    assert_eq!(app.count("SELECT count(*) FROM channel_takeovers").await, Some(0));
    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_what_was_asked_in_the_dashboard_is_read_there_and_by_nobody_else() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    app.product(Method::POST, &path("messages"), json!({ "text": "Hello" })).await;
    app.drained_well().await;

    let (begun, said) = app.command(&["takeovers", "begin", PERSON]).await;
    app.product(Method::POST, &path("messages"), json!({ "text": "Anybody?" })).await;
    app.drained_well().await;
    let (_, list) = app.command(&["takeovers", "list"]).await;
    let (answered, answer) = app.command(&["takeovers", "answer", PERSON, "I am."]).await;
    let (ended, _) = app.command(&["takeovers", "end", PERSON]).await;
    let (again, problem) = app.command(&["takeovers", "end", PERSON]).await;
    app.drained_well().await;

    assert!(begun && answered && ended, "{said} {answer}");
    assert!(list.contains(PERSON) && list.contains(" 1 "), "{list}");
    assert!(!again && problem.contains("nobody has taken"), "{problem}");
    let (_, thread) = app.product(Method::GET, &path("messages"), Value::Null).await;
    let mut texts =
        thread["messages"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap());
    assert_eq!(texts.next_back(), Some("I am."));
    assert_eq!(app.said_to(PERSON), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_leaves_the_agent_at_rest_and_the_agent_learns_later_what_was_said_by_hand() {
    let gateway = Gateway::chatting(|chat: &Chat, _| match chat.text.as_str() {
        "Hello" => Run::Refuse(401),
        _ => Run::Say("The agent is back.", Duration::ZERO),
    })
    .await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("OPENCLAW_TOKEN", "secret")];
    let app = TestApp::start_with(&env).await;
    app.write(PERSON, "Hello").await;
    app.drained().await;
    let dead = app.count("SELECT id FROM queue.dead WHERE kind = 'answer'").await.unwrap().to_string();

    take_over(&app).await;
    answer(&app, "one", "A person speaks.").await;
    let (retried, told) = app.command(&["jobs", "retry", &dead]).await;
    // What a schedule says asks no agent, and keys of answers are kept for a day.
    sqlx::raw_sql(
        "INSERT INTO channel_turns (conversation_id, channel, state, calls, agent, reply, finished_at)
         SELECT conversation_id, 'whatsapp', 'replied', 0, 'schedule briefing', 'Good morning', now() FROM channel_turns LIMIT 1;
         DELETE FROM channel_answers_by_hand",
    )
    .execute(&app.pg)
    .await
    .unwrap();
    give_back(&app).await;
    app.write(PERSON, "Thanks").await;
    app.drained().await;

    assert!(!retried && told.contains("a person answers there"), "{told}");
    let asked = gateway.chats().pop().unwrap().text;
    assert!(asked.contains("The person: A person speaks.") && asked.contains("Thanks"), "{asked}");
    assert_eq!(app.said_to(PERSON).last().unwrap(), "The agent is back.");
}
