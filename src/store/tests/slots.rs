//! How a slot goes through its audience.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use store::ids::SlotId;
use store::{links, slots, users};

use crate::{Tables, find};

#[tokio::test]
async fn a_slot_moves_on_only_from_where_it_stands() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    sqlx::raw_sql("INSERT INTO channel_schedules (name, hash, definition) VALUES ('daily', '', '{}')")
        .execute(&mut *conn)
        .await
        .unwrap();
    let slot = slots::create(&mut conn, "daily", Utc::now(), &json!({}), false, slots::SlotBeginning::Open)
        .await
        .unwrap()
        .unwrap();

    for (from, to, moved) in [
        (Some("a"), "b", false),
        (None, "b", true),
        (None, "c", false),
        (Some("b"), "d", true),
        (Some("b"), "d", false),
    ] {
        assert_eq!(slots::advance(&mut conn, slot, from, Some(to)).await.unwrap(), moved, "{from:?} to {to}");
    }
    for (after, is_before) in [(None, false), (Some("c"), false), (Some("d"), true), (Some("e"), true)] {
        assert_eq!(slots::is_still_before(&mut conn, slot, after).await.unwrap(), is_before, "{after:?}");
    }
    slots::end(&mut conn, slot, None).await.unwrap();
    assert!(!slots::advance(&mut conn, slot, Some("d"), Some("e")).await.unwrap(), "it has ended");
    assert!(!slots::is_still_before(&mut conn, slot, Some("d")).await.unwrap(), "it has ended");
}

#[tokio::test]
async fn a_page_waits_for_the_one_before_it_in_the_database_alone() {
    let tables = Tables::new().await;
    let (mut first, mut second, mut other) = (
        tables.pg.begin().await.unwrap(),
        tables.pg.begin().await.unwrap(),
        tables.pg.begin().await.unwrap(),
    );
    slots::take_page(&mut first, SlotId(1), "b").await.unwrap();
    slots::take_page(&mut second, SlotId(1), "c").await.unwrap();
    slots::take_page(&mut other, SlotId(2), "b").await.unwrap();

    slots::wait_for_page(&mut first, SlotId(1), "a").await.unwrap();
    let mut waiting = tokio::spawn(async move {
        slots::wait_for_page(&mut second, SlotId(1), "b").await.unwrap();
        second.rollback().await.unwrap();
    });
    let blocked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while sqlx::query_scalar::<_, i64>(blocked).fetch_one(&tables.pg).await.unwrap() == 0 {
        assert!(!waiting.is_finished(), "the page before has not ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.rollback().await.unwrap();

    (&mut waiting).await.unwrap();
}

#[tokio::test]
async fn an_audience_is_one_user_or_a_plan_or_all_who_have_a_phone_in_order() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    for (user, plan, phone) in [
        ("ann", "pro", Some("whatsapp:+15005580001")),
        ("bob", "free", Some("whatsapp:+15005580002")),
        ("cid", "pro", None),
        ("dan", "pro", Some("whatsapp:+15005580003")),
    ] {
        users::create_or_lock(&mut conn, user, plan).await.unwrap();
        if let Some(phone) = phone {
            let address = find(&mut conn, &[phone]).await.unwrap().address.id;
            links::create(&mut conn, user, address).await.unwrap();
        }
    }
    sqlx::raw_sql("UPDATE channel_links SET ended_at = now() WHERE user_id = 'dan'")
        .execute(&mut *conn)
        .await
        .unwrap();

    for (after, user, plan, expected) in [
        (None, None, None, vec!["ann", "bob"]),
        (Some("ann"), None, None, vec!["bob"]),
        (None, None, Some("PRO"), vec!["ann", "cid"]),
        (Some("cid"), None, Some("pro"), vec!["dan"]),
        (None, Some("dan"), None, vec!["dan"]),
        (Some("dan"), Some("dan"), None, vec![]),
        (None, Some("eve"), None, vec![]),
    ] {
        let users = slots::audience(&mut conn, after, user, plan, 2).await.unwrap();
        assert_eq!(users, expected, "behind {after:?}: {user:?}, {plan:?}");
    }
    sqlx::raw_sql("ANALYZE channel_users; ANALYZE channel_links").execute(&mut *conn).await.unwrap();
    assert_eq!(slots::audience_estimate(&mut conn, Some("PRO")).await.unwrap(), 3);
    assert_eq!(slots::audience_estimate(&mut conn, None).await.unwrap(), 2);
}
