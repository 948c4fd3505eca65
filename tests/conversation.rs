//! A person writes, the agent answers.

use crate::support::{PERSON, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered_through_twilio() {
    let app = TestApp::start().await;

    assert_eq!(app.write(PERSON, "Hello").await, Some(200));
    let replies = app.replies(PERSON, 1).await;
    app.until("the delivery is known to have arrived", async || {
        app.count(
            "SELECT count(*) FROM channel_deliveries WHERE state = 'delivered' AND closed_at IS NOT NULL",
        )
        .await
            == Some(1)
    })
    .await;
    app.drained_well().await;

    assert_eq!(replies[0].body, "You said: Hello");
    assert_eq!(app.text("SELECT state FROM channel_chunks").await, "delivered");
    assert_eq!(app.text("SELECT outcome FROM channel_messages").await, "answered");
    assert_eq!(app.text("SELECT reply FROM channel_turns").await, "You said: Hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_hides_the_number_is_answered_too() {
    let app = TestApp::start().await;

    app.write("whatsapp:US.abcDEF123456", "Hello").await;

    assert_eq!(app.replies("whatsapp:US.abcDEF123456", 1).await[0].body, "You said: Hello");
    app.drained_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_quick_succession_are_answered_in_one_turn() {
    let app = TestApp::start_with(&[
        // Longer than a webhook takes on the busiest machine.
        ("CLOUDYBOT__AGENT__DEBOUNCE", "3s"),
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP", "60s"),
    ])
    .await;

    for body in ["one", "two", "three"] {
        app.write(PERSON, body).await;
    }
    let replies = app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(replies[0].body, "You said: one\ntwo\nthree");
    assert_eq!(app.sandbox.sent_to(PERSON).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_and_its_question_are_one_turn_though_the_process_dies_meanwhile() {
    let mut app = TestApp::start_with(&[
        ("CLOUDYBOT__AGENT__DEBOUNCE", "4s"),
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP", "60s"),
    ])
    .await;
    app.link(PERSON).await;

    for _ in 0..4 {
        app.inject(&[("From", PERSON), ("Latitude", "1"), ("Longitude", "2")]).await;
    }
    let accepted = "SELECT count(*) FROM channel_messages WHERE accepted_at IS NOT NULL";
    app.until("all are accepted", async || app.count(accepted).await == Some(4)).await;
    app.kill();
    app.launch().await;
    app.write(PERSON, "Compare these").await;
    let replies = app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(1));
    assert_eq!(replies[0].body.matches("location: 1, 2").count(), 4, "{}", replies[0].body);
    assert!(replies[0].body.ends_with("Compare these"), "{}", replies[0].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_due_when_the_debounce_after_the_last_message_ends() {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__AGENT__DEBOUNCE", "1h"),
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP", "90m"),
    ])
    .await;
    let accepted = "SELECT count(*) FROM channel_messages WHERE accepted_at IS NOT NULL";
    // The answer that waits, and never ran.
    let due = "SELECT count(*) FROM queue.jobs WHERE kind = 'answer' AND state = 'scheduled' AND snoozes = 0 AND run_at = (SELECT max(received_at) + interval '1 hour' FROM channel_messages)";

    for number in 1..=3 {
        app.write(PERSON, "Hello").await;
        app.until("it is accepted", async || app.count(accepted).await == Some(number)).await;
        assert_eq!(app.count(due).await, Some(1), "after {number} messages");
    }
    // Nobody waits longer than the cap for the first message.
    sqlx::query("UPDATE channel_messages SET received_at = received_at - interval '80 minutes'")
        .execute(&app.pg)
        .await
        .unwrap();
    app.write(PERSON, "Hello").await;
    app.until("it is accepted", async || app.count(accepted).await == Some(4)).await;
    let capped = "SELECT count(*) FROM queue.jobs WHERE kind = 'answer' AND state = 'scheduled' AND run_at = (SELECT min(received_at) + interval '90 minutes' FROM channel_messages)";
    assert_eq!(app.count(capped).await, Some(1));
    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(0));

    // A button is finished as it is, and brings the others along.
    app.inject(&[("From", PERSON), ("Body", "Go on"), ("ButtonText", "Go on")]).await;
    app.replies(PERSON, 1).await;
    app.until("the answer has run", async || {
        app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'answered'").await == Some(5)
    })
    .await;
    assert_eq!(app.count("SELECT count(*) FROM channel_turns").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_the_debounce_and_for_nothing_else() {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__AGENT__DEBOUNCE", "1500ms"),
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP", "6s"),
    ])
    .await;

    for number in 0..8 {
        app.write(&format!("whatsapp:+150055501{number:02}"), "Hello").await;
    }
    app.drained_well().await;

    // The quickest of eight, since others may use the machine.
    let asked = "SELECT min(1000 * extract(epoch FROM t.started_at - m.received_at))::BIGINT
                 FROM channel_turns t JOIN channel_messages m ON m.turn_id = t.id";
    let sent = "SELECT min(1000 * extract(epoch FROM s.started_at - a.ended_at))::BIGINT
                FROM channel_agent_calls a JOIN channel_deliveries d ON d.turn_id = a.turn_id
                JOIN channel_chunks c ON c.delivery_id = d.id JOIN channel_send_attempts s ON s.chunk_id = c.id";
    let (asked, sent) = (app.count(asked).await.unwrap(), app.count(sent).await.unwrap());
    assert!((1500..1900).contains(&asked), "{asked} ms from the webhook to the agent");
    assert!(sent < 400, "{sent} ms from the answer to Twilio");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_a_turn_runs_is_answered_by_the_next() {
    let app = TestApp::start().await;

    app.write(PERSON, "/slow 800 first").await;
    app.until("the turn runs", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'running'").await == Some(1)
    })
    .await;
    app.write(PERSON, "second").await;
    app.write(PERSON, "third").await;
    let replies = app.replies(PERSON, 2).await;
    app.drained_well().await;

    let bodies: Vec<&str> = replies.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["You said: /slow 800 first", "You said: second\nthird"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_arrives_in_order_and_complete() {
    let app = TestApp::start().await;

    app.write(PERSON, "/long 6000").await;
    let replies = app.replies(PERSON, 4).await;
    app.drained_well().await;

    assert!(replies.iter().all(|message| message.body.encode_utf16().count() <= 1550));
    let text: String = replies.iter().map(|message| message.body.as_str()).collect::<Vec<_>>().join(" ");
    let numbers: Vec<u32> = text
        .split("sentence ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(
        numbers.len() > 100 && numbers.iter().copied().eq(1..=u32::try_from(numbers.len()).unwrap()),
        "{numbers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_fails_three_times_leads_to_one_apology() {
    let app = TestApp::start().await;

    app.write(PERSON, "/fail please").await;
    let replies = app.replies(PERSON, 1).await;
    app.drained().await;
    app.write(PERSON, "still there?").await;
    let all = app.replies(PERSON, 2).await;

    assert_eq!(replies[0].body, "Sorry, I couldn't finish that. Please try again.");
    assert_eq!(all[1].body, "You said: still there?");
    assert_eq!(app.count("SELECT count(*) FROM channel_agent_calls WHERE error IS NOT NULL").await, Some(3));
    assert_eq!(app.text("SELECT outcome FROM channel_messages ORDER BY id LIMIT 1").await, "failed");
    app.drained().await;
    assert_eq!(app.sandbox.sent_to(PERSON).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_has_nothing_to_say_says_nothing() {
    let app = TestApp::start().await;

    app.write(PERSON, "/silent").await;
    app.until("the message has its outcome", async || {
        app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'silent'").await == Some(1)
    })
    .await;
    app.drained_well().await;

    assert!(app.sandbox.sent_to(PERSON).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_spans_the_webhook_its_jobs_the_send_and_twilios_callbacks() {
    let app = TestApp::start().await;
    app.write(PERSON, "Hello").await;
    app.drained_well().await;
    app.until("the reply is delivered", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'delivered'").await == Some(1)
    })
    .await;

    let logged = app.logged();
    let trace_of = |line: &str| {
        let line =
            logged.lines().find(|logged| logged.contains(line)).unwrap_or_else(|| panic!("{line}: {logged}"));
        line.split_once("trace=\"").unwrap().1[..32].to_owned()
    };
    let webhook = trace_of("Took in message");
    for later in ["Accepted message", "Planned the reply", "Twilio accepted chunk", "is delivered"] {
        assert_eq!(trace_of(later), webhook, "{later}");
    }
}
