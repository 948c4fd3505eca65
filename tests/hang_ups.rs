//! Clients that hang up while the program works for them.

use std::time::Duration;

use futures::StreamExt as _;
use private_postgres::test_database::TestDatabase;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::forwarder::Forwarder;
use crate::support::{SCHEMA, TestApp};

const ROUNDS: usize = 5;

/// Requests of a round, and how many of them are its end.
const REQUESTS: usize = 900;
const TAIL: usize = 120;

/// What was answered well.
enum Answered {
    Webhook(String),
    Callback(String),
    User(String),
    Look,
}

/// One request of each sort in turn; `None` where nothing was promised.
async fn ask(app: &TestApp, number: usize) -> Option<Answered> {
    let sid = format!("SM{number:032}");
    match number % 4 {
        0 => {
            let from = format!("whatsapp:+1500555{:04}", number % 40);
            let form = [("MessageSid", &*sid), ("From", &*from), ("Body", "Hello")];
            let signature = app.sign("/webhooks/whatsapp", &form);
            let answer = app.post("/webhooks/whatsapp", &form, Some(&signature)).await;
            (answer.status() == 200).then_some(Answered::Webhook(sid))
        }
        1 => {
            let form = [("MessageSid", &*sid), ("MessageStatus", "sent")];
            let signature = app.sign("/webhooks/whatsapp/status", &form);
            let answer = app.post("/webhooks/whatsapp/status", &form, Some(&signature)).await;
            (answer.status() == 204).then_some(Answered::Callback(sid))
        }
        2 => {
            let user = format!("user{number}");
            let (status, _) =
                app.product(Method::PUT, &format!("/users/{user}"), json!({ "plan": "pro" })).await;
            (status < 300).then_some(Answered::User(user))
        }
        _ => {
            let (status, _) = app.product(Method::GET, "/users/known", Value::Null).await;
            (status == 200).then_some(Answered::Look)
        }
    }
}

/// Asks for all of them, so many at a time; whether each has waited for its answer, and what it was.
async fn ask_all(
    app: &TestApp,
    plans: Vec<(usize, Option<Duration>)>,
    at_a_time: usize,
) -> Vec<(bool, Option<Answered>)> {
    let answers = futures::stream::iter(plans).map(async |(number, hang_up)| match hang_up {
        None => (true, ask(app, number).await),
        Some(after) => (false, tokio::time::timeout(after, ask(app, number)).await.ok().flatten()),
    });
    answers.buffer_unordered(at_a_time).collect().await
}

fn micros(rng: &mut StdRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_micros(rng.random_range(range))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_hang_up_anywhere_leave_no_transaction_open_and_every_answered_write_is_there() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let database = TestDatabase::create(&SCHEMA).await;
    // Far enough away that most of a request's time is spent on waiting for it.
    let far = Forwarder::to(&database.connect_options(), Duration::from_micros(300)).await;
    let app = TestApp::on_database(far.url(&database.connect_options()), Some(database), &[]).await;
    app.product(Method::PUT, "/users/known", json!({ "plan": "pro" })).await;
    let mut answers = Vec::new();
    for round in 0..ROUNDS {
        // Half of them hang up while many wait for the database …
        let numbers = round * REQUESTS..(round + 1) * REQUESTS - TAIL;
        let hang_up = |rng: &mut StdRng| rng.random_bool(0.5).then(|| micros(rng, 100..15_000));
        let plans: Vec<_> = numbers.map(|number| (number, hang_up(&mut rng))).collect();
        answers.extend(ask_all(&app, plans, 16).await);
        // … and then all do, about when their transactions begin: nobody comes behind them and ends what they leave open.
        let numbers = (round + 1) * REQUESTS - TAIL..(round + 1) * REQUESTS;
        let plans: Vec<_> = numbers.map(|number| (number, Some(micros(&mut rng, 300..4_000)))).collect();
        answers.extend(ask_all(&app, plans, 4).await);

        let ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cloudybot'
            AND state LIKE 'idle in transaction%'";
        app.until("no session is in a transaction", async || app.count(ours).await == Some(0)).await;
    }

    let refused = answers.iter().filter(|(waited, answer)| *waited && answer.is_none()).count();
    assert_eq!(refused, 0, "seed {seed}: those who waited were answered");
    let (mut webhooks, mut callbacks, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for (_, answer) in answers {
        match answer {
            Some(Answered::Webhook(sid)) => webhooks.push(sid),
            Some(Answered::Callback(sid)) => callbacks.push(sid),
            Some(Answered::User(user)) => users.push(user),
            Some(Answered::Look) | None => {}
        }
    }
    for (table, column, answered) in [
        ("channel_messages", "sid", webhooks),
        ("channel_status_callbacks", "sid", callbacks),
        ("channel_users", "id", users),
    ] {
        let lost = format!("SELECT unnest($1::TEXT[]) EXCEPT SELECT {column} FROM {table}");
        let lost: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(lost)).bind(&answered).fetch_all(&app.pg).await.unwrap();
        assert!(lost.is_empty(), "seed {seed}: {} of {table} were lost: {lost:?}", lost.len());
        // Those who waited alone are this many, however busy the machine is.
        assert!(answered.len() > 400, "seed {seed}: {} of {table}", answered.len());
    }
}
