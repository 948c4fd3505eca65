//! Everything at once: four processes of which one is killed every second, users at the edge of their cap, and a Twilio that misbehaves in
//! every way it can. What counts in the end is Twilio's own list.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sandbox::faults::Faults;
use serde_json::json;

use crate::proactive::text_of;
use crate::support::{API_TOKEN, TestApp};

/// Metered messages of a user.
const CAP: i64 = 5;

async fn storm(users: usize, seconds: u64) {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut app = TestApp::start_with(&[
        ("CLOUDYBOT__PLANS__PRO__WHATSAPP_SENDS", &CAP.to_string()),
        ("CLOUDYBOT__DATABASE__WORKER_CONNECTIONS", "12"),
        ("CLOUDYBOT__POOLS__PROACTIVE__CONCURRENCY", "16"),
        ("CLOUDYBOT__DELIVERIES__CALLBACK_WAIT", "300ms"),
        ("CLOUDYBOT__TWILIO__IN_DOUBT_GRACE", "2500ms"),
    ])
    .await;
    for _ in 0..3 {
        app.launch_another().await;
    }
    let people: Vec<String> = (0..users).map(|number| format!("whatsapp:+1500556{number:04}")).collect();
    for person in &people {
        app.link(person).await;
    }
    app.sandbox.set_faults(Faults {
        drop_after: 0.1,
        rate_limited: 0.1,
        error_before: 0.05,
        error_after: 0.05,
        accept_late: 0.05,
        accept_late_ms: 2000,
        callback_lost: 0.1,
        callback_doubled: 0.1,
        callback_reordered: 0.1,
        list_lag_ms: 500,
        ..Faults::default()
    });

    // Three notifications of one to three chunks each: more than the cap allows to most.
    let mut asked: Vec<(String, String, String)> = Vec::new();
    for person in &people {
        for number in 0..3 {
            let text = format!("{person} {number} {}", text_of(rng.random_range(1..4)));
            asked.push((person.clone(), format!("{person} {number}"), text));
        }
    }
    let begun = Instant::now();
    let mut next_kill = Duration::from_secs(1);
    let mut asked = asked.into_iter();
    loop {
        for _ in 0..3 {
            if let Some((person, key, text)) = asked.next() {
                notify(&app, &person, &key, &text).await;
            }
        }
        let elapsed = begun.elapsed();
        if elapsed > next_kill && elapsed < Duration::from_secs(seconds) {
            app.kill_one(rng.random_range(0..4)).await;
            next_kill = begun.elapsed() + Duration::from_secs(1);
        }
        if asked.len() == 0 && elapsed > Duration::from_secs(seconds) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.drained_well_within(Duration::from_secs(400)).await;

    let open = "SELECT count(*) FROM channel_deliveries WHERE state IN ('open', 'waiting')";
    assert_eq!(app.count(open).await, Some(0), "seed {seed}");
    assert_eq!(app.count("SELECT count(*) FROM channel_double_sends").await, Some(0), "seed {seed}");
    let over = "SELECT count(*) FROM whatsapp_sends WHERE used > 5 OR reserved <> 0";
    assert_eq!(app.count(over).await, Some(0), "seed {seed}");
    let used = app.count("SELECT sum(used)::BIGINT FROM whatsapp_sends").await;
    assert_eq!(
        used,
        app.count("SELECT count(*) FROM channel_chunks WHERE sid IS NOT NULL").await,
        "seed {seed}"
    );
    let drift = store::allowances::audit(&mut app.pg.acquire().await.unwrap(), i64::MAX).await.unwrap().drift;
    assert!(drift.is_empty(), "seed {seed}: {drift:?}");

    let planned: Vec<(String, String)> = sqlx::query_as(
        "SELECT d.user_id, c.body FROM channel_deliveries d JOIN channel_chunks c ON c.delivery_id = d.id ORDER BY d.user_id, c.id",
    )
    .fetch_all(&app.pg)
    .await
    .unwrap();
    let mut expected: HashMap<String, Vec<String>> = HashMap::new();
    for (person, body) in planned {
        expected.entry(person).or_default().push(body);
    }
    assert!(expected.len() > users / 2, "most users were sent something");
    for person in &people {
        let said = app.said_to(person);
        assert_eq!(said, expected.remove(person).unwrap_or_default(), "seed {seed}: {person}");
    }
}

/// Asks until some process has answered; the key makes that harmless.
async fn notify(app: &TestApp, person: &str, key: &str, text: &str) {
    let user = person.replace('+', "%2B");
    app.until("a process answers", async || {
        let request = app.http.post(app.url(&format!("/v1/users/{user}/notifications")));
        let request = request.bearer_auth(API_TOKEN).header("Idempotency-Key", key);
        let answer = request.json(&json!({ "text": text })).send().await;
        answer.is_ok_and(|answer| answer.status() == 202)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_every_chunk_goes_out_once_in_order_and_within_the_cap() {
    storm(30, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; run it with `cargo test --test integration -- --ignored`"]
async fn in_a_long_storm_every_chunk_goes_out_once_in_order_and_within_the_cap() {
    storm(300, 30).await;
}
