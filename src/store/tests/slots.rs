//! How a slot goes through its audience.

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use store::audiences::{self, Audience, Who, ZonePart};
use store::ids::{ScheduleName, SlotId, UserId};
use store::slot_users::{self, PartOutcome, UserPart};
use store::slots::{NewSlot, SlotBeginning, SlotOrigin};
use store::{links, slots, users};

use crate::{Tables, find, user_id};

fn user_ids(ids: &[&str]) -> Vec<UserId> {
    ids.iter().map(|id| user_id(id)).collect()
}

#[tokio::test]
async fn a_slot_moves_on_only_from_where_it_stands() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    make_schedule(&mut conn).await;
    let slot = slots::create(&mut conn, &due("", Utc::now(), None)).await.unwrap().unwrap();

    for (from, to, moved) in [
        (Some("a"), "b", false),
        (None, "b", true),
        (None, "c", false),
        (Some("b"), "d", true),
        (Some("b"), "d", false),
    ] {
        let (from, to) = (from.map(user_id), user_id(to));
        let has_moved = slots::advance(&mut conn, slot, from.as_ref(), Some(&to)).await.unwrap();
        assert_eq!(has_moved, moved, "{from:?} to {to}");
    }
    for (after, is_before) in [(None, false), (Some("c"), false), (Some("d"), true), (Some("e"), true)] {
        let after = after.map(user_id);
        let is_still_before = audiences::is_still_before(&mut conn, slot, after.as_ref()).await.unwrap();
        assert_eq!(is_still_before, is_before, "{after:?}");
    }
    slots::end(&mut conn, slot, None).await.unwrap();
    let (d, e) = (user_id("d"), user_id("e"));
    assert!(!slots::advance(&mut conn, slot, Some(&d), Some(&e)).await.unwrap(), "it has ended");
    assert!(!audiences::is_still_before(&mut conn, slot, Some(&d)).await.unwrap(), "it has ended");
}

#[tokio::test]
async fn a_page_waits_for_the_one_before_it_in_the_database_alone() {
    let tables = Tables::new().await;
    let (mut first, mut second, mut other) = (
        tables.pg.begin().await.unwrap(),
        tables.pg.begin().await.unwrap(),
        tables.pg.begin().await.unwrap(),
    );
    audiences::take_page(&mut first, SlotId(1), &user_id("b")).await.unwrap();
    audiences::take_page(&mut second, SlotId(1), &user_id("c")).await.unwrap();
    audiences::take_page(&mut other, SlotId(2), &user_id("b")).await.unwrap();

    audiences::wait_for_page(&mut first, SlotId(1), &user_id("a")).await.unwrap();
    let mut waiting = tokio::spawn(async move {
        audiences::wait_for_page(&mut second, SlotId(1), &user_id("b")).await.unwrap();
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
        users::create_or_lock(&mut conn, &user_id(user), plan).await.unwrap();
        if let Some(phone) = phone {
            let address = find(&mut conn, &[phone]).await.unwrap().address.id;
            links::create(&mut conn, &user_id(user), address).await.unwrap();
        }
    }
    sqlx::raw_sql("UPDATE channel_links SET ended_at = now() WHERE user_id = 'dan'")
        .execute(&mut *conn)
        .await
        .unwrap();

    let [dan, eve] = ["dan", "eve"].map(user_id);
    let (only_dan, some) = ([dan.clone()], ["dan", "ann", "eve"].map(user_id));
    for (after, who, except, expected) in [
        (None, Who::Everyone, &[][..], vec!["ann", "bob"]),
        (Some("ann"), Who::Everyone, &[], vec!["bob"]),
        (None, Who::Everyone, &some, vec!["bob"]),
        (None, Who::Plan("PRO"), &[], vec!["ann", "cid"]),
        (None, Who::Plan("pro"), &some, vec!["cid"]),
        (Some("cid"), Who::Plan("pro"), &[], vec!["dan"]),
        (None, Who::User(&dan), &[], vec!["dan"]),
        (Some("dan"), Who::User(&dan), &[], vec![]),
        (None, Who::User(&eve), &[], vec![]),
        (None, Who::Users(&some), &[], vec!["ann", "dan"]),
        (Some("ann"), Who::Users(&some), &[], vec!["dan"]),
        (None, Who::Users(&some), &only_dan, vec!["ann"]),
    ] {
        let audience = Audience { who, except };
        let after = after.map(user_id);
        let users = audiences::page(&mut conn, &audience, None, after.as_ref(), 2).await.unwrap();
        assert_eq!(users, user_ids(&expected), "behind {after:?}: {audience:?}");
    }
    sqlx::raw_sql("ANALYZE channel_users; ANALYZE channel_links").execute(&mut *conn).await.unwrap();
    for (who, estimate) in
        [(Who::Plan("PRO"), 3), (Who::Everyone, 2), (Who::User(&dan), 1), (Who::Users(&some), 3)]
    {
        let audience = Audience { who, except: &[] };
        assert_eq!(audiences::estimate(&mut conn, &audience).await.unwrap(), estimate, "{who:?}");
    }
}

#[tokio::test]
async fn a_part_of_an_audience_is_who_lives_in_a_zone_and_the_zones_are_found_one_by_one() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    for (number, (user, plan, zone)) in [
        ("ann", "pro", Some("Europe/Berlin")),
        ("bob", "pro", None),
        ("cid", "free", Some("Asia/Tokyo")),
        ("dan", "pro", Some("Europe/Berlin")),
        ("eve", "free", Some("Mars/Base")),
        ("fay", "pro", Some("Asia/Tokyo")),
    ]
    .into_iter()
    .enumerate()
    {
        users::create_or_lock(&mut conn, &user_id(user), plan).await.unwrap();
        sqlx::query("UPDATE channel_users SET timezone = $2 WHERE id = $1")
            .bind(user)
            .bind(zone)
            .execute(&mut *conn)
            .await
            .unwrap();
        if user != "dan" {
            let phone = format!("whatsapp:+1500558000{number}");
            let address = find(&mut conn, &[&phone]).await.unwrap().address.id;
            links::create(&mut conn, &user_id(user), address).await.unwrap();
        }
    }

    assert_eq!(audiences::zones(&mut conn).await.unwrap(), ["Asia/Tokyo", "Europe/Berlin", "Mars/Base"]);
    let berlin = |with_unknown| ZonePart { names: vec!["Europe/Berlin".to_owned()], with_unknown };
    let mars =
        ZonePart { names: vec!["Europe/Berlin".to_owned(), "Mars/Base".to_owned()], with_unknown: true };
    let some = ["dan", "cid", "bob"].map(user_id);
    let [bob, cid, dan] = ["bob", "cid", "dan"].map(user_id);
    for (part, who, expected) in [
        (berlin(false), Who::Everyone, vec!["ann"]),
        (berlin(true), Who::Everyone, vec!["ann", "bob"]),
        (mars.clone(), Who::Everyone, vec!["ann", "bob", "eve"]),
        (berlin(false), Who::Plan("pro"), vec!["ann", "dan"]),
        (berlin(true), Who::Plan("PRO"), vec!["ann", "bob", "dan"]),
        (berlin(true), Who::Users(&some), vec!["bob", "dan"]),
        (berlin(false), Who::User(&dan), vec!["dan"]),
        (berlin(true), Who::User(&cid), vec![]),
    ] {
        let audience = Audience { who, except: &[] };
        let users = audiences::page(&mut conn, &audience, Some(&part), None, 5).await.unwrap();
        assert_eq!(users, user_ids(&expected), "{audience:?} in {part:?}");
    }
    let all = Audience { who: Who::Everyone, except: &[] };
    let first = audiences::page(&mut conn, &all, Some(&mars), None, 2).await.unwrap();
    assert_eq!(first, user_ids(&["ann", "bob"]));
    let second = audiences::page(&mut conn, &all, Some(&mars), Some(&bob), 2).await.unwrap();
    assert_eq!(second, user_ids(&["eve"]));
}

async fn make_schedule(conn: &mut sqlx::PgConnection) {
    sqlx::raw_sql("INSERT INTO channel_schedules (name, hash, definition) VALUES ('daily', '', '{}')")
        .execute(conn)
        .await
        .unwrap();
}

static DAILY: LazyLock<ScheduleName> = LazyLock::new(|| "daily".parse().unwrap());

fn due(zone: &'static str, moment: DateTime<Utc>, local_time: Option<NaiveDateTime>) -> NewSlot<'static> {
    NewSlot {
        schedule: &DAILY,
        zone,
        moment,
        local_time,
        definition: &Value::Null,
        origin: SlotOrigin::Due,
        beginning: SlotBeginning::Open,
    }
}

#[tokio::test]
async fn a_moment_is_a_slot_in_each_zone_and_a_user_is_dealt_with_once_for_its_time() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    make_schedule(&mut conn).await;
    let (now, nine) = (Utc::now(), "2026-11-29T09:00:00".parse().unwrap());
    let create = async |conn: &mut sqlx::PgConnection, zone, moment| {
        slots::create(conn, &due(zone, moment, Some(nine))).await.unwrap()
    };

    let berlin = create(&mut conn, "Europe/Berlin", now).await.unwrap();
    assert!(create(&mut conn, "Europe/Berlin", now).await.is_none(), "it is there already");
    let cairo = create(&mut conn, "Africa/Cairo", now).await.unwrap();
    let (berlin, cairo) = (
        slots::get(&mut conn, berlin).await.unwrap().unwrap(),
        slots::get(&mut conn, cairo).await.unwrap().unwrap(),
    );
    let users = ["ann", "bob"].map(user_id);
    let ann = UserPart { user_id: &users[0], outcome: PartOutcome::Planned, reason: None, delivery_id: None };
    slot_users::add_users(&mut conn, &berlin, std::slice::from_ref(&ann)).await.unwrap();

    assert_eq!(slot_users::dealt_with_elsewhere(&mut conn, &cairo, &users).await.unwrap(), users[..1]);
    let twice = slot_users::add_users(&mut conn, &cairo, &[ann]).await.unwrap_err();
    assert!(twice.as_database_error().unwrap().is_unique_violation());
}
