//! What is known of a user.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveTime;
use store::users::User;
use store::{erasure, recipients, users};

use crate::identity::keys;
use crate::{Tables, user_id};

fn time(hour: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, 0, 0).unwrap()
}

#[tokio::test]
async fn a_users_zone_quiet_hours_and_attributes_are_read_alone_and_among_others() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let (new, is_new) = users::create_or_lock(&mut conn, &user_id("alice"), "pro").await.unwrap();
    users::create_or_lock(&mut conn, &user_id("bob"), "pro").await.unwrap();
    assert!(is_new);
    assert_eq!((&new.timezone, new.quiet_hours, new.attributes.len()), (&None, None, 0));
    let attributes = BTreeMap::from([("name".to_owned(), "A\"l\\ice\n😀".to_owned())]);
    let alice = User {
        timezone: Some("Europe/Berlin".to_owned()),
        quiet_hours: Some((time(22), time(7))),
        attributes,
        ..new
    };

    users::update(&mut conn, &alice).await.unwrap();

    assert_eq!(users::get(&mut conn, &user_id("alice")).await.unwrap().as_ref(), Some(&alice));
    assert_eq!(
        users::create_or_lock(&mut conn, &user_id("alice"), "free").await.unwrap(),
        (alice.clone(), false)
    );
    let both: HashMap<_, _> =
        recipients::of_users(&mut conn, &[&user_id("alice"), &user_id("bob")]).await.unwrap();
    assert_eq!(both[&user_id("alice")].user, alice);
    assert_eq!((&both[&user_id("bob")].user.timezone, both[&user_id("bob")].user.quiet_hours), (&None, None));

    let nothing = User { timezone: None, quiet_hours: None, attributes: BTreeMap::new(), ..alice };
    users::update(&mut conn, &nothing).await.unwrap();
    assert_eq!(users::get(&mut conn, &user_id("alice")).await.unwrap(), Some(nothing));
}

#[tokio::test]
async fn half_quiet_hours_and_ones_without_a_length_are_refused() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let (alice, _) = users::create_or_lock(&mut conn, &user_id("alice"), "pro").await.unwrap();

    let none = User { quiet_hours: Some((time(8), time(8))), ..alice };
    assert!(users::update(&mut conn, &none).await.unwrap_err().as_database_error().is_some());
    for half in ["quiet_from = '08:00'", "quiet_to = '08:00'", "attributes = '[]'"] {
        let set = sqlx::AssertSqlSafe(format!("UPDATE channel_users SET {half}"));
        assert!(sqlx::query(set).execute(&mut *conn).await.unwrap_err().as_database_error().is_some());
    }
}

#[tokio::test]
async fn what_the_product_told_of_a_user_is_erased_with_it() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let (alice, _) = users::create_or_lock(&mut conn, &user_id("alice"), "pro").await.unwrap();
    let attributes = BTreeMap::from([("name".to_owned(), "Alice".to_owned())]);
    let alice = User { timezone: Some("Europe/Berlin".to_owned()), attributes, ..alice };
    users::update(&mut conn, &alice).await.unwrap();

    assert!(erasure::begin(&mut conn, &keys(), &user_id("alice")).await.unwrap());

    let (new, is_new) = users::create_or_lock(&mut conn, &user_id("alice"), "pro").await.unwrap();
    assert!(is_new && new.attributes.is_empty() && new.timezone.is_none());
}
