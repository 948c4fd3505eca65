//! A chat beside messages to many.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::alice;
use crate::support::{PERSON, TestApp};

/// So many people are written to at the sender's full rate while one person chats; how long each answer took.
async fn chat_beside_a_broadcast(people: usize, chats: usize) -> Vec<Duration> {
    let app = TestApp::start_with(&[("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0")]).await;
    alice(&app, "pro").await;
    sqlx::query(
        "WITH number AS (SELECT format('whatsapp:+1500600%s', to_char(n, 'FM0000')) AS name FROM generate_series(1, $1) n),
              address AS (INSERT INTO channel_addresses (last_inbound_at) SELECT now() FROM number RETURNING id),
              person AS (SELECT name, id FROM (SELECT name, row_number() OVER () AS at FROM number) a
                         JOIN (SELECT id, row_number() OVER () AS at FROM address) b USING (at)),
              named AS (INSERT INTO channel_address_aliases (alias, canonical, address_id) SELECT name, name, id FROM person),
              made AS (INSERT INTO channel_users (id, plan) SELECT name, 'pro' FROM person RETURNING id)
         INSERT INTO channel_links (user_id, address_id) SELECT p.name, p.id FROM person p JOIN made m ON m.id = p.name",
    )
    .bind(i32::try_from(people).unwrap())
    .execute(&app.pg)
    .await
    .unwrap();
    // All of it waits when the first chat begins.
    let pool = json!({ "scope": "pool", "name": "proactive" });
    app.admin(Method::POST, "/jobs/pause", pool.clone()).await;
    let numbers: Vec<usize> = (1..=people).collect();
    for some in numbers.chunks(20) {
        let asked = some.iter().map(|number| {
            let path = format!("/users/whatsapp:%2B1500600{number:04}/notifications");
            let app = &app;
            async move { app.product(Method::POST, &path, json!({ "text": "News" })).await.0 }
        });
        assert!(futures::future::join_all(asked).await.iter().all(|status| *status == 202));
    }

    app.admin(Method::POST, "/jobs/resume", pool).await;
    let mut took = Vec::new();
    for number in 0..chats {
        let begun = Instant::now();
        app.inject(&[("From", PERSON), ("Body", &format!("Question {number}"))]).await;
        app.replies(PERSON, 2 + number).await;
        let waiting = app
            .count(
                "SELECT count(*) FROM channel_deliveries WHERE state = 'open' AND purpose = 'notification'",
            )
            .await;
        // Only what was asked while the broadcast was under way counts.
        if people > 0 && waiting == Some(0) {
            break;
        }
        took.push(begun.elapsed());
    }
    assert!(took.len() >= 4, "the broadcast was over too soon");
    took.sort();
    took
}

async fn a_broadcast_of(people: usize, chats: usize) {
    let p95 = |took: Vec<Duration>| took[(took.len() - 1) * 95 / 100];
    let without = p95(chat_beside_a_broadcast(0, chats).await);

    let with = p95(chat_beside_a_broadcast(people, chats).await);

    eprintln!("p95 of a reply: {without:?} without the broadcast, {with:?} with it");
    assert!(with < without + Duration::from_secs(2), "{with:?} beside the broadcast, {without:?} without it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_goes_on_beside_a_broadcast() {
    // At least four answers came while it was under way; how fast they came is for a quiet machine.
    chat_beside_a_broadcast(600, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and wants a quiet machine; run it with `cargo test --test integration -- --ignored five_thousand`"]
async fn a_broadcast_to_five_thousand_does_not_delay_a_chat() {
    a_broadcast_of(5000, 100).await;
}
