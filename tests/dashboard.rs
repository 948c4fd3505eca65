//! The dashboard's chat: the same thread and the same agent as on WhatsApp.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

/// What was said, with who said it and where.
async fn thread(app: &TestApp, user: &str, after: i64) -> Vec<String> {
    let (status, thread) =
        app.product(Method::GET, &format!("/users/{user}/messages?after={after}"), Value::Null).await;
    assert_eq!(status, 200, "{thread}");
    let told = |entry: &Value| {
        let word = |name: &str| entry[name].as_str().unwrap().to_owned();
        format!("{} {} {}: {}", entry["number"], word("role"), word("channel"), word("text"))
    };
    thread["messages"].as_array().unwrap().iter().map(told).collect()
}

async fn say(app: &TestApp, user: &str, text: &str) {
    let (status, answer) =
        app.product(Method::POST, &format!("/users/{user}/messages"), json!({ "text": text })).await;
    assert_eq!(status, 202, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_channels_are_one_thread_and_an_answer_goes_where_it_was_asked() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    let told_at_first = app.said_to(PERSON).len();

    say(&app, "alice", "from the dashboard").await;
    app.drained().await;
    app.inject(&[("From", PERSON), ("Body", "from the phone")]).await;
    app.drained().await;

    let said = thread(&app, "alice", 0).await;
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(said[0], "1 user dashboard: from the dashboard");
    assert!(
        said[1].starts_with("2 assistant dashboard: ") && said[1].contains("from the dashboard"),
        "{said:?}"
    );
    assert_eq!(said[2], "3 user whatsapp: from the phone");
    assert!(said[3].starts_with("4 assistant whatsapp: ") && said[3].contains("from the phone"), "{said:?}");
    let on_phone = app.said_to(PERSON).split_off(told_at_first);
    assert_eq!(
        on_phone.len(),
        1,
        "what was asked in the dashboard is not answered on the phone: {on_phone:?}"
    );
    assert_eq!(thread(&app, "alice", 3).await, said[3..], "a reader goes on where it stopped");
    assert_eq!(
        app.text("SELECT string_agg(DISTINCT conversation_id::TEXT, ' ') FROM channel_turns")
            .await
            .split(' ')
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_phone_chats_in_the_dashboard() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/bob", json!({ "plan": "free" })).await;

    for n in 1..=5 {
        say(&app, "bob", &format!("message {n}")).await;
    }
    app.drained().await;

    let said = thread(&app, "bob", 0).await;
    let asked: Vec<&String> = said.iter().filter(|line| line.contains(" user ")).collect();
    assert!(
        asked.iter().enumerate().all(|(at, line)| line.ends_with(&format!("message {}", at + 1))),
        "{said:?}"
    );
    assert_eq!(asked.len(), 5);
    assert!(said.iter().any(|line| line.contains(" assistant ")), "{said:?}");
    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE outcome = 'answered'").await, Some(5));
    assert_eq!(app.count("SELECT count(*) FROM channel_deliveries").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_fails_leaves_the_apology_in_the_thread() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/bob", json!({})).await;

    say(&app, "bob", "/fail").await;
    app.until("the turn has failed", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'failed'").await == Some(1)
    })
    .await;

    let said = thread(&app, "bob", 0).await;
    assert_eq!(said[1], "2 assistant dashboard: Sorry, I couldn't finish that. Please try again.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_and_a_repeated_request_is_harmless() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/bob", json!({})).await;

    for (path, body, expected) in [
        ("/users/nobody/messages", json!({ "text": "hi" }), 404),
        ("/users/bob/messages", json!({ "text": "  " }), 422),
        ("/users/bob/messages", json!({ "text": "hi", "to": "x" }), 422),
    ] {
        assert_eq!(app.product(Method::POST, path, body).await.0, expected, "{path}");
    }
    assert_eq!(app.product(Method::GET, "/users/bob/messages?limit=0", Value::Null).await.0, 422);
    let mut duplicates = Vec::new();
    for _ in 0..2 {
        let answer = app
            .http
            .post(app.url("/v1/users/bob/messages"))
            .bearer_auth(crate::support::API_TOKEN)
            .header("Idempotency-Key", "one")
            .json(&json!({ "text": "hi" }))
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        duplicates.push(answer["duplicate"].as_bool().unwrap());
    }
    app.drained().await;

    let other_words = app
        .http
        .post(app.url("/v1/users/bob/messages"))
        .bearer_auth(crate::support::API_TOKEN)
        .header("Idempotency-Key", "one")
        .json(&json!({ "text": "something else" }))
        .send()
        .await
        .unwrap();

    assert_eq!(other_words.status(), 422, "a key is for one message");
    assert_eq!(duplicates, [false, true]);
    assert_eq!(thread(&app, "bob", 0).await.len(), 2);
}

/// Reads a stream until it has given so many events; returns their ids.
async fn watched(
    app: &TestApp,
    address: std::net::SocketAddr,
    last_seen: Option<&str>,
    number: usize,
) -> Vec<String> {
    let mut request =
        app.http.get(format!("http://{address}/v1/users/bob/events")).bearer_auth(crate::support::API_TOKEN);
    if let Some(last_seen) = last_seen {
        request = request.header("Last-Event-ID", last_seen);
    }
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut read = String::new();
    while read.matches("event: message").count() < number {
        let piece = tokio::time::timeout(crate::support::PATIENCE, answer.chunk()).await.unwrap().unwrap();
        read += std::str::from_utf8(&piece.expect("the stream goes on")).unwrap();
    }
    read.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_has_seen_what_the_database_forgot_goes_on_with_what_comes_next() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/bob", json!({})).await;
    say(&app, "bob", "one").await;
    app.drained().await;

    let talking = async {
        loop {
            say(&app, "bob", "and on").await;
            app.drained().await;
        }
    };
    let seen = tokio::select! {
        seen = watched(&app, app.address, Some("100000"), 2) => seen,
        () = talking => unreachable!("it talks for ever"),
    };

    let [first, second] = [0, 1].map(|place| seen[place].parse::<i64>().unwrap());
    assert!(first > 2 && second == first + 1, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_is_said_whichever_process_did_it_and_goes_on_where_it_stopped() {
    let mut app = TestApp::start_with(&[("CLOUDYBOT__SERVER__SHUTDOWN_GRACE", "1h")]).await;
    app.product(Method::PUT, "/users/bob", json!({})).await;
    let other = app.launch_another().await;

    let (seen, ()) = tokio::join!(watched(&app, other, None, 4), async {
        say(&app, "bob", "one").await;
        app.drained().await;
        say(&app, "bob", "two").await;
    });
    let (seen_again, ()) = tokio::join!(watched(&app, other, Some("3"), 3), async {
        app.drained().await;
        say(&app, "bob", "three").await;
    });
    let watching =
        app.http.get(app.url("/v1/users/bob/events?after=6")).bearer_auth(crate::support::API_TOKEN);
    let watching = watching.send().await.unwrap();
    let ended = tokio::time::timeout(crate::support::PATIENCE, app.terminate()).await;
    let exit_code = ended.expect("an open stream does not hold up the stop");

    assert_eq!(seen, ["1", "2", "3", "4"]);
    assert_eq!(seen_again, ["4", "5", "6"]);
    assert_eq!(watching.status(), 200);
    assert_eq!(exit_code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_schedule_says_is_in_the_thread() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.write_schedule(
        "news",
        "cron = \"0 0 29 2 *\"\n[audience]\nuser = \"alice\"\n[content]\nmessage = \"News\"\n",
    );
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;

    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    app.command(&["schedules", "fire", "news"]).await;
    app.drained().await;

    let (_, thread) = app.product(Method::GET, "/users/alice/messages", Value::Null).await;
    let entry = &thread["messages"][0];
    assert_eq!((&entry["text"], &entry["schedule"]), (&json!("News"), &json!("news")), "{thread}");
    assert_eq!(app.text("SELECT reason FROM channel_slot_users").await, "opted_out");
}

/// A thread of messages long enough to fill every buffer between the service and a client that does not read.
const LONG_THREAD: &str = "
    INSERT INTO channel_messages (sid, conversation_id, channel, body, params, written_at, accepted_at, outcome, outcome_at)
    SELECT format('dashboard:long %s', n), c.id, 'dashboard', repeat('words ', 1000), '{}', now(), now(), 'silent', now()
    FROM channel_conversations c, generate_series(1, 4000) n ORDER BY n";

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_of_a_long_thread_take_nothing_from_other_requests() {
    let app = TestApp::start_with(&[("CLOUDYBOT__DATABASE__API_CONNECTIONS", "1")]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.product(Method::POST, "/users/alice/messages", json!({ "text": "Hello" })).await;
    app.drained_well().await;
    sqlx::raw_sql(LONG_THREAD).execute(&app.pg).await.unwrap();
    let watch =
        || app.http.get(app.url("/v1/users/alice/events")).bearer_auth(crate::support::API_TOKEN).send();

    // All four are under way, and not to be emptied: nobody reads what they send.
    let (mut streams, mut read) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut stream = watch().await.unwrap();
        read = stream.chunk().await.unwrap().unwrap().to_vec();
        streams.push(stream);
    }
    for path in ["/plans", "/users/alice", "/users/alice/usage", "/users/alice/messages?after=3900"] {
        let (status, answer) = app.product(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    assert_eq!(app.admin(Method::GET, "/jobs", Value::Null).await.0, 200);

    let is_whole =
        |read: &[u8]| read[read.len().saturating_sub(10_000)..].windows(8).any(|end| end == b"id: 4002");
    while !is_whole(&read) {
        read.extend(streams[3].chunk().await.unwrap().expect("the stream goes on"));
    }
    let said = String::from_utf8_lossy(&read);
    let told: Vec<u32> = said.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert_eq!(told, (1..=4002).collect::<Vec<_>>());
}
