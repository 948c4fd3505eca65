//! The thread shows what became of each answer on the person's phone, and a stream tells each change.

use std::time::Duration;

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::support::{API_TOKEN, PATIENCE, PERSON, TestApp};

async fn entries(app: &TestApp) -> Vec<Value> {
    let (status, thread) = app.product(Method::GET, "/users/alice/messages", Value::Null).await;
    assert_eq!(status, 200, "{thread}");
    thread["messages"].as_array().unwrap().clone()
}

/// A stream of alice's thread, as it is read.
struct Stream {
    answer: reqwest::Response,
    read: String,
}

/// An event of a stream.
#[derive(Clone, Debug)]
struct Told {
    id: String,
    name: String,
    data: Value,
}

impl Stream {
    async fn open(app: &TestApp, after: &str) -> Self {
        let url = app.url(&format!("/v1/users/alice/events{after}"));
        let answer = app.http.get(url).bearer_auth(API_TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { answer, read: String::new() }
    }

    /// The next event; `None`: the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let told = field("data: ").map(|data| Told {
                    id: field("id: ").unwrap_or_default(),
                    name: field("event: ").unwrap_or_default(),
                    data: serde_json::from_str(&data).unwrap(),
                });
                self.read = rest.to_owned();
                if told.is_some() {
                    return told;
                }
                continue;
            }
            let piece = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("it tells or ends");
            self.read += std::str::from_utf8(&piece.ok()??).unwrap();
        }
    }

    /// Reads until a delivery has come to this state; all events up to there.
    async fn until(&mut self, state: &str) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            told.push(self.next().await.expect("the stream goes on"));
            if told.last().unwrap().data["delivery"]["state"] == state {
                return told;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thread_shows_the_delivery_of_an_answer_and_of_a_schedules_words() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    let news = "cron = \"0 0 29 2 *\"\n[audience]\nuser = \"alice\"\n[content]\nmessage = \"News\"\n";
    app.write_schedule("news", news);
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;

    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.drained().await;
    app.command(&["schedules", "fire", "news"]).await;
    app.drained().await;
    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    app.command(&["schedules", "fire", "news"]).await;
    app.drained().await;
    app.product(Method::POST, "/users/alice/messages", json!({ "text": "In the dashboard" })).await;
    app.drained().await;
    let arrived = "SELECT count(*) FROM channel_deliveries WHERE state = 'delivered' AND purpose IN ('reply', 'scheduled')";
    app.until("both arrived", async || app.count(arrived).await == Some(2)).await;

    let shown: Vec<(Value, Value, Value)> = entries(&app)
        .await
        .iter()
        .map(|entry| {
            (entry["text"].clone(), entry["delivery"]["state"].clone(), entry["delivery"]["reason"].clone())
        })
        .collect();
    let expected = [
        (json!("Hello"), Value::Null, Value::Null),
        (json!("You said: Hello"), json!("delivered"), Value::Null),
        (json!("News"), json!("delivered"), Value::Null),
        (json!("News"), json!("blocked"), json!("opted_out")),
        (json!("In the dashboard"), Value::Null, Value::Null),
        (json!("You said: In the dashboard"), Value::Null, Value::Null),
    ];
    assert_eq!(shown, expected);
    let id = entries(&app).await[1]["delivery"]["id"].as_str().unwrap().to_owned();
    let (status, delivery) = app.product(Method::GET, &format!("/deliveries/{id}"), Value::Null).await;
    assert_eq!((status, &delivery["purpose"]), (200, &json!("reply")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_each_change_of_a_delivery_and_whoever_comes_back_misses_none() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.sandbox.set_faults(Faults { callback_lost: 1.0, ..Faults::default() });
    let mut first = Stream::open(&app, "").await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;

    let told = first.until("sent").await;
    drop(first);
    // Nobody watches while it arrives.
    let sid = app.text("SELECT sid FROM channel_chunks ORDER BY id DESC LIMIT 1").await;
    let form =
        [("AccountSid", crate::support::ACCOUNT_SID), ("MessageSid", &sid), ("MessageStatus", "delivered")];
    let path = "/webhooks/whatsapp/status";
    assert_eq!(app.post(path, &form, Some(&app.sign(path, &form))).await.status(), 204);
    let last = told.last().unwrap().clone();
    let mut second = Stream::open(&app, &format!("?after={}", last.id)).await;
    let told_again = second.until("delivered").await;

    assert_eq!(told[0].name, "message");
    assert!(
        told.iter().any(|event| event.name == "message" && event.data["text"] == "You said: Hello"),
        "{told:?}"
    );
    let again = told_again.last().unwrap();
    assert_eq!((again.name.as_str(), &again.data["number"]), ("delivery", &last.data["number"]));
    assert_eq!(again.data["delivery"]["id"], last.data["delivery"]["id"]);
    assert_eq!(again.id, last.id, "a client goes on behind the last entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_user_is_erased() {
    let app = TestApp::start().await;
    app.claim("alice", PERSON).await;
    app.inject(&[("From", PERSON), ("Body", "Hello")]).await;
    app.drained().await;
    let mut stream = Stream::open(&app, "").await;
    stream.next().await.expect("it tells what was said");

    assert_eq!(app.product(Method::DELETE, "/users/alice", Value::Null).await.0, 204);

    let ended = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the stream ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_message_has_its_number_in_the_thread() {
    let app = TestApp::start().await;
    app.product(Method::PUT, "/users/alice", json!({})).await;
    let post = async |key: &str| {
        let request = app.http.post(app.url("/v1/users/alice/messages")).bearer_auth(API_TOKEN);
        let answer =
            request.header("Idempotency-Key", key).json(&json!({ "text": "Hello" })).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.json::<Value>().await.unwrap()
    };

    let first = post("one").await;
    app.drained().await;
    let second = post("two").await;
    app.drained().await;
    let first_again = post("one").await;

    assert_eq!(first, json!({ "id": 1, "duplicate": false }));
    assert_eq!(second, json!({ "id": 3, "duplicate": false }));
    assert_eq!(first_again, json!({ "id": 1, "duplicate": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_channel_leaves_nothing_of_an_allowance() {
    let app = TestApp::start_with(&[("CLOUDYBOT__WHATSAPP__ENABLED", "false")]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;

    let (_, usage) = app.product(Method::GET, "/users/alice/usage", Value::Null).await;
    let user = app.user("alice").await;

    for sends in [&usage["whatsappSends"], &user["usage"]["whatsappSends"]] {
        assert_eq!((&sends["cap"], &sends["remaining"]), (&json!(0), &json!(0)), "{sends}");
    }
}
