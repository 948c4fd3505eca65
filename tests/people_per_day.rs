//! WhatsApp's limit of people to whom a conversation is opened within 24 hours.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

const TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";
const SCHEDULE: &str = "cron = \"0 0 1 1 *\"\nexpires = \"7d\"\naudience = { everyone = true }\ncontent = { message = \"Hello\" }\n\
                        template = { content_sid = \"HX0123456789abcdef0123456789abcdef\" }\n";

/// People who have not written for a day.
async fn people(app: &TestApp, number: usize) -> Vec<String> {
    let people: Vec<String> = (0..number).map(|n| format!("whatsapp:+150055503{n:02}")).collect();
    for person in &people {
        app.link(person).await;
    }
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
    people
}

async fn notify(app: &TestApp, person: &str) -> Value {
    let path = format!("/users/{}/notifications", person.replace('+', "%2B"));
    let body = json!({ "text": "Hello", "template": { "contentSid": TEMPLATE } });
    app.product(Method::POST, &path, body).await.1["delivery"].clone()
}

/// Who was sent how many messages, in the order of the people.
fn sent(app: &TestApp, people: &[String]) -> Vec<usize> {
    people.iter().map(|person| app.sandbox.sent_to(person).len()).collect()
}

async fn waiting(app: &TestApp) -> i64 {
    app.count("SELECT count(*) FROM channel_deliveries WHERE state = 'waiting' AND waits_for_room")
        .await
        .unwrap()
}

/// All places are free again, and it is noticed.
async fn a_day_passes(app: &TestApp) {
    sqlx::raw_sql(
        "UPDATE channel_people_places SET taken_at = taken_at - interval '25 hours' WHERE taken_at > '-infinity';
         UPDATE queue.jobs SET run_at = now() WHERE kind = 'plan_room'",
    )
    .execute(&app.pg)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_beyond_the_limit_wait_for_another_day_in_order() {
    let app = TestApp::start_with(&[("CLOUDYBOT__WHATSAPP__PEOPLE_PER_DAY", "3")]).await;
    app.write_schedule("digest", SCHEDULE);
    let people = people(&app, 8).await;
    app.until("the schedule is loaded", async || {
        app.admin(Method::GET, "/schedules/digest/preview", Value::Null).await.0 == 200
    })
    .await;
    let (_, preview) = app.admin(Method::GET, "/schedules/digest/preview", Value::Null).await;
    let (_, shown) = app
        .command_with(&[("CLOUDYBOT__WHATSAPP__PEOPLE_PER_DAY", "3")], &["schedules", "preview", "digest"])
        .await;

    app.until("the schedule fires", async || {
        app.admin(Method::POST, "/schedules/digest/fire", Value::Null).await.0 < 300
    })
    .await;

    app.until("three have it", async || sent(&app, &people) == [1, 1, 1, 0, 0, 0, 0, 0]).await;
    app.until("five wait", async || waiting(&app).await == 5).await;
    assert_eq!(preview["pace"], json!({ "people": 8, "perDay": 3, "days": 3 }));
    assert!(shown.contains("8 people, 3 a day: takes 3 days"), "{shown}");
    // Whoever has a place is free; whoever has none waits behind those who wait already.
    assert_eq!(notify(&app, &people[0]).await["state"], "open");
    assert_eq!(notify(&app, &people[7]).await["state"], "waiting");
    app.until("the first one has it", async || sent(&app, &people) == [2, 1, 1, 0, 0, 0, 0, 0]).await;

    a_day_passes(&app).await;
    app.until("three more have it", async || sent(&app, &people) == [2, 1, 1, 1, 1, 1, 0, 0]).await;
    // A place that is free is not for somebody who has just come.
    a_day_passes(&app).await;
    app.until("all have it", async || sent(&app, &people) == [2, 1, 1, 1, 1, 1, 1, 2]).await;
    assert_eq!(waiting(&app).await, 0);
    app.drained_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_needs_no_place_and_who_waits_too_long_gets_nothing() {
    let app = TestApp::start_with(&[
        ("CLOUDYBOT__WHATSAPP__PEOPLE_PER_DAY", "1"),
        ("CLOUDYBOT__BACKFILL__EVERY", "500ms"),
    ])
    .await;
    let people = people(&app, 3).await;
    for person in &people {
        notify(&app, person).await;
    }
    app.until("two wait", async || waiting(&app).await == 2).await;

    app.inject(&[("From", &people[2]), ("Body", "Hello?")]).await;
    app.replies(&people[2], 2).await;
    sqlx::raw_sql("UPDATE channel_deliveries SET expires_at = now() WHERE state = 'waiting'")
        .execute(&app.pg)
        .await
        .unwrap();
    app.until("none waits", async || waiting(&app).await == 0).await;

    assert!(
        app.said_to(&people[2]).iter().any(|said| said.starts_with("Hello\n")),
        "{:?}",
        app.said_to(&people[2])
    );
    assert_eq!(
        app.text("SELECT reason FROM channel_deliveries WHERE state = 'expired'").await,
        "whatsapp.people_per_day had no room in time"
    );
    assert_eq!(sent(&app, &people[..2]), [1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_for_many_processes_of_which_some_are_killed() {
    let mut app = TestApp::start_with(&[("CLOUDYBOT__WHATSAPP__PEOPLE_PER_DAY", "10")]).await;
    app.launch_another().await;
    app.launch_another().await;
    let people = people(&app, 40).await;

    for (round, people) in people.chunks(10).enumerate() {
        join_all(people.iter().map(|person| notify(&app, person))).await;
        app.kill_one(round % 2).await;
    }
    app.until("ten have it", async || sent(&app, &people).iter().sum::<usize>() >= 10).await;
    app.until("the others wait", async || waiting(&app).await == 30).await;

    let reached: BTreeSet<&String> =
        people.iter().filter(|person| !app.sandbox.sent_to(person).is_empty()).collect();
    assert_eq!(reached.len(), 10, "{:?}", sent(&app, &people));
    assert_eq!(
        app.count("SELECT count(*) FROM channel_people_places WHERE taken_at > '-infinity'").await,
        Some(10)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_leaves_long_after_it_was_planned_needs_a_place_again() {
    let app = TestApp::start_with(&[("CLOUDYBOT__WHATSAPP__PEOPLE_PER_DAY", "1")]).await;
    let pool = json!({ "scope": "pool", "name": "proactive" });
    let people = people(&app, 2).await;
    app.admin(Method::POST, "/jobs/pause", pool.clone()).await;
    assert_eq!(notify(&app, &people[0]).await["state"], "open");
    a_day_passes(&app).await;
    assert_eq!(notify(&app, &people[1]).await["state"], "open", "the place was free again");

    app.admin(Method::POST, "/jobs/resume", pool).await;

    app.until("one has it", async || sent(&app, &people).iter().sum::<usize>() == 1).await;
    app.until("the other one looks again later", async || {
        app.count(
            "SELECT count(*) FROM queue.jobs WHERE kind = 'send_chunk' AND run_at > now() + interval '10 s'",
        )
        .await
            == Some(1)
    })
    .await;
    assert_eq!(sent(&app, &people).iter().sum::<usize>(), 1);
}
