//! A day of very many inbound messages: Twilio's list is as long as the day, and what is missing stands in the middle and at the end of it.

use std::time::Duration;

use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{ACCOUNT_SID, NUMBER, TestApp};

const PERSON: &str = "whatsapp:+15005550177";
const PAGE_SIZE: usize = 1000;

/// The webhooks of these never came: they stand on three pages, the last one behind all others. Numbers count from the newest.
fn lost(total: usize) -> [usize; 4] {
    [3, total / 2 + 1, total / 2, total - 1]
}

fn sid(number: usize) -> String {
    format!("SM{number:032x}")
}

/// A Twilio whose list of inbound messages has so many of the last twenty hours.
async fn long_list(total: usize, now: DateTime<Utc>) -> String {
    let answer = move |OriginalUri(uri): OriginalUri| async move { page(&uri.to_string(), total, now) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    url
}

fn page(uri: &str, total: usize, now: DateTime<Utc>) -> Response {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
    if !uri.starts_with(&path) || !uri.contains("To=") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let number: usize = uri
        .split_once("PageToken=PA")
        .map_or(0, |(_, rest)| rest.split('&').next().unwrap().parse().unwrap());
    let numbers = number * PAGE_SIZE..total.min((number + 1) * PAGE_SIZE);
    let messages: Vec<Value> = numbers.map(|number| message(number, total, now)).collect();
    let next = ((number + 1) * PAGE_SIZE < total)
        .then(|| format!("{path}?To=x&PageSize={PAGE_SIZE}&Page={0}&PageToken=PA{0}", number + 1));
    Json(json!({ "messages": messages, "next_page_uri": next })).into_response()
}

fn message(number: usize, total: usize, now: DateTime<Utc>) -> Value {
    let age = TimeDelta::seconds(60)
        + TimeDelta::hours(20) * i32::try_from(number).unwrap() / i32::try_from(total).unwrap();
    json!({
        "sid": sid(number), "direction": "inbound", "status": "received", "from": PERSON, "to": NUMBER,
        "body": format!("Number {number}"), "date_created": (now - age).to_rfc2822(), "num_media": "0",
    })
}

/// Every message but the lost ones has come by its webhook.
async fn fill(app: &TestApp, total: usize) {
    sqlx::query(
        "WITH address AS (INSERT INTO channel_addresses DEFAULT VALUES RETURNING id),
              alias AS (INSERT INTO channel_address_aliases (alias, canonical, address_id) SELECT $1, $1, id FROM address)
         INSERT INTO channel_messages (sid, address_id, body, params, outcome, outcome_at)
         SELECT 'SM' || lpad(to_hex(number), 32, '0'), address.id, '', '{}', 'not_linked', now()
         FROM address, generate_series(0, $2 - 1) number WHERE number <> ALL ($3)",
    )
    .bind(PERSON)
    .bind(i32::try_from(total).unwrap())
    .bind(lost(total).map(|number| i32::try_from(number).unwrap()).to_vec())
    .execute(&app.pg)
    .await
    .unwrap();
}

async fn what_is_lost_in_a_long_list_is_taken_in(total: usize) {
    let url = long_list(total, Utc::now()).await;
    let mut app = TestApp::start_with(&[
        ("TWILIO_API_BASE_URL", &url),
        ("CLOUDYBOT__BACKFILL__EVERY", "1s"),
        ("CLOUDYBOT__BACKFILL__SETTLE", "0s"),
    ])
    .await;
    app.until("a first round has begun", async || {
        app.count("SELECT count(*) FROM channel_cursors").await == Some(2)
    })
    .await;
    app.kill();
    fill(&app, total).await;
    // As if the service had been away for a day.
    sqlx::raw_sql("UPDATE channel_cursors SET moment = now() - interval '1 day'")
        .execute(&app.pg)
        .await
        .unwrap();

    app.launch().await;
    app.until_within(Duration::from_secs(300), "all lost messages are taken in", async || {
        app.count("SELECT count(*) FROM channel_messages WHERE backfilled").await == Some(4)
    })
    .await;

    let bodies =
        app.text("SELECT string_agg(body, ', ' ORDER BY id) FROM channel_messages WHERE backfilled").await;
    let mut expected = lost(total);
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(bodies, expected.map(|number| format!("Number {number}")).join(", "));
    app.until("the cursor has moved", async || {
        app.count("SELECT count(*) FROM channel_cursors WHERE name = 'backfill' AND moment > now() - interval '1 minute'").await == Some(1)
    })
    .await;
    assert_eq!(
        app.count("SELECT count(*) FROM channel_alerts WHERE cause = 'backfill_behind'").await,
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_behind_sixty_pages_of_others_is_taken_in() {
    what_is_lost_in_a_long_list_is_taken_in(60_000).await;
}

/// Half a million: `cargo test --test integration -- --ignored a_message_behind_five_hundred_pages`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; run it with `cargo test --test integration -- --ignored five_hundred_pages`"]
async fn a_message_behind_five_hundred_pages_of_others_is_taken_in() {
    what_is_lost_in_a_long_list_is_taken_in(500_000).await;
}
