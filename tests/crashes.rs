//! `kill -9` at every step: nothing is lost, nothing goes out twice.

use sandbox::faults::Faults;

use crate::support::{PERSON, TestApp};

/// Kills the program once the database says so, starts it again, and expects exactly one reply.
async fn one_reply_though_killed_when(body: &str, faults: Faults, moment: &'static str) {
    let mut app = TestApp::start().await;
    app.sandbox.set_faults(faults);
    app.write(PERSON, body).await;
    app.until("the moment has come", async || app.count(moment).await == Some(1)).await;

    app.kill();
    app.sandbox.set_faults(Faults::default());
    app.launch().await;

    app.replies(PERSON, 1).await;
    app.drained_well().await;
    assert_eq!(app.sandbox.sent_to(PERSON).len(), 1, "killed when {moment}");
    assert_eq!(app.count("SELECT count(*) FROM channel_double_sends").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_right_after_the_webhook() {
    one_reply_though_killed_when("Hello", Faults::default(), "SELECT count(*) FROM channel_messages").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_agent_works() {
    one_reply_though_killed_when(
        "/slow 600 Hello",
        Faults::default(),
        "SELECT count(*) FROM channel_turns WHERE state = 'running'",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_twilio_takes_its_time() {
    let slow = Faults { delay_ms: 700, ..Faults::default() };
    one_reply_though_killed_when(
        "Hello",
        slow,
        "SELECT count(*) FROM channel_chunks WHERE state = 'sending'",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_twilio_has_it_and_we_do_not_know() {
    let late = Faults { accept_late: 1.0, accept_late_ms: 300, callback_lost: 1.0, ..Faults::default() };
    one_reply_though_killed_when(
        "Hello",
        late,
        "SELECT count(*) FROM channel_chunks WHERE state = 'sending'",
    )
    .await;
}

/// Twenty people, and a kill at a moment of chance, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_under_load() {
    // On a slow machine one turn may be cut short by each of the kills, and each counts as a run of the agent.
    let mut app = TestApp::start_with(&[("CLOUDYBOT__AGENT__ATTEMPTS", "9")]).await;
    let people: Vec<String> = (0..20).map(|n| format!("whatsapp:+150055502{n:02}")).collect();

    for round in 0..4u64 {
        for person in &people {
            app.write(person, &format!("round {round}")).await;
        }
        // Somewhere in the middle of the work of this round, wherever that is on this machine.
        let reached = i64::try_from(round).unwrap() * 20 + 7;
        app.until("some of the round is answered", async || {
            app.count("SELECT count(*) FROM channel_turns WHERE state = 'replied'").await >= Some(reached)
        })
        .await;
        app.kill();
        app.launch().await;
    }
    app.drained_well().await;

    for person in &people {
        let said: String =
            app.sandbox.sent_to(person).into_iter().map(|message| message.body + "\n").collect();
        for round in 0..4 {
            assert_eq!(said.matches(&format!("round {round}")).count(), 1, "{person} was told: {said}");
        }
    }
    assert_eq!(app.count("SELECT count(*) FROM channel_double_sends").await, Some(0));
}

/// A burst shares its transactions: what was answered is stored, whenever the process dies, and what Twilio sends again is taken in once.
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_burst_of_webhooks() {
    const PATH: &str = "/webhooks/whatsapp";
    let mut app = TestApp::start_with(&[("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0")]).await;
    let people: Vec<String> = (0..20).map(|n| format!("whatsapp:+150055502{n:02}")).collect();
    for person in &people {
        app.write(person, "Hello").await;
    }
    app.drained_well().await;
    let messages: Vec<[(&str, String); 3]> = (0..400)
        .map(|n| {
            let (sid, body) = (format!("SMburst{n}"), format!("burst {n}."));
            [("MessageSid", sid), ("From", people[n % people.len()].clone()), ("Body", body)]
        })
        .collect();
    let webhook = |app: &TestApp, message: &[(&'static str, String); 3]| {
        let form: Vec<(&str, &str)> = message.iter().map(|(name, value)| (*name, value.as_str())).collect();
        app.http.post(app.url(PATH)).header("X-Twilio-Signature", app.sign(PATH, &form)).form(&form)
    };

    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for message in &messages {
        let (request, answered, sid) = (webhook(&app, message), answered.clone(), message[0].1.clone());
        tokio::spawn(async move {
            if request.send().await.is_ok_and(|answer| answer.status() == 200) {
                answered.send(sid).unwrap();
            }
        });
    }
    drop(answered);
    let mut stored = Vec::new();
    while stored.len() < 50 {
        stored.push(answers.recv().await.expect("the program answers"));
    }
    app.kill();
    while let Some(sid) = answers.recv().await {
        stored.push(sid);
    }
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM channel_messages WHERE sid = ANY ($1)")
        .bind(&stored)
        .fetch_one(&app.pg)
        .await
        .unwrap();
    app.launch().await;
    for message in &messages {
        assert_eq!(webhook(&app, message).send().await.unwrap().status(), 200);
    }
    app.drained_well().await;

    assert_eq!(there, i64::try_from(stored.len()).unwrap(), "what was answered was stored");
    let received = "SELECT count(*) FROM queue.finished WHERE kind = 'receive_message' AND payload->>'message' IN (SELECT id::TEXT FROM channel_messages WHERE sid LIKE 'SMburst%')";
    assert_eq!(app.count(received).await, Some(400));
    for (n, [_, (_, person), _]) in messages.iter().enumerate() {
        let said = app.said_to(person).join("\n");
        assert_eq!(said.matches(&format!("burst {n}.")).count(), 1, "{person} was told: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_running_work_end_and_a_start_goes_on() {
    let mut app = TestApp::start().await;
    app.write(PERSON, "/slow 600 Hello").await;
    app.until("the agent works", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'running'").await == Some(1)
    })
    .await;

    assert_eq!(app.terminate().await, Some(0));
    assert_eq!(app.count("SELECT count(*) FROM channel_turns WHERE state = 'replied'").await, Some(1));
    assert_eq!(app.count("SELECT count(*) FROM queue.workers").await, Some(0));
    app.launch().await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(app.sandbox.sent_to(PERSON).len(), 1);
    assert_eq!(app.count("SELECT max(calls)::BIGINT FROM channel_turns").await, Some(1));
}
