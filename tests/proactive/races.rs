//! STOP at any moment of a batch.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{ledger_is_right, text_of};
use crate::support::TestApp;

/// A batch is under way to many people, and each of them writes STOP at some moment of chance, again and again.
async fn stops_race_a_batch(people: usize, rounds: usize) {
    let app = TestApp::start_with(&[("CLOUDYBOT__DELIVERIES__CALLBACK_WAIT", "20ms")]).await;
    let people: Vec<String> = (0..people).map(|number| format!("whatsapp:+1500557{number:04}")).collect();
    let races = people.iter().map(|person| {
        let app = &app;
        async move {
            app.link(person).await;
            let user = person.replace('+', "%2B");
            let mut late = 0;
            for round in 0..rounds {
                let path = format!("/users/{user}/notifications");
                app.product(Method::POST, &path, json!({ "text": format!("{round} {}", text_of(3)) })).await;
                let pause = rand::random_range(0..60);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                app.inject(&[("From", person), ("Body", "STOP")]).await;
                let begun = attempts(app, person).await;
                app.inject(&[("From", person), ("Body", "still there?")]).await;
                // What could still begin would do so while this is answered, and after it.
                tokio::time::sleep(Duration::from_millis(30)).await;
                late += attempts(app, person).await - begun;
                app.inject(&[("From", person), ("Body", "START")]).await;
            }
            late
        }
    });

    let late: i64 = futures::future::join_all(races).await.into_iter().sum();
    app.drained_well_within(Duration::from_secs(400)).await;

    assert_eq!(late, 0, "metered attempts that began after STOP's 200");
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_sends WHERE reserved <> 0").await, Some(0));
    ledger_is_right(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_begins_after_the_answer_to_a_stop() {
    stops_race_a_batch(40, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; run it with `cargo test --test integration -- --ignored`"]
async fn no_attempt_of_a_thousand_races_begins_after_the_answer_to_a_stop() {
    stops_race_a_batch(100, 10).await;
}

/// Metered attempts to a person so far.
async fn attempts(app: &TestApp, person: &str) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM channel_send_attempts a JOIN channel_chunks c ON c.id = a.chunk_id JOIN channel_deliveries d ON d.id = c.delivery_id
         WHERE d.user_id = $1 AND c.meter_proactive",
    )
    .bind(person)
    .fetch_one(&app.pg)
    .await
    .unwrap()
}
