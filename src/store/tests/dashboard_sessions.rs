//! Who may open a user's dashboard, and for how long.

use std::time::Duration;

use store::dashboard_sessions::{begin, end, keep_code, use_code, user_of};
use store::ids::UserId;
use store::retention::{RetainedPart, take_page};
use store::{dashboard_changes, erasure, users, users_elsewhere};

use super::identity::keys;
use super::{Tables, user_id};

const MINUTE: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A hash of something.
fn hash(number: u8) -> [u8; 32] {
    [number; 32]
}

async fn tables_with_alice() -> (Tables, UserId) {
    let tables = Tables::new().await;
    let alice = user_id("alice");
    let mut conn = tables.pg.acquire().await.unwrap();
    users::create_or_lock(&mut conn, &alice, "pro").await.unwrap();
    (tables, alice)
}

#[tokio::test]
async fn a_code_is_used_once_in_time_and_by_one_of_two_at_once() {
    let (tables, alice) = tables_with_alice().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    for number in 1..=3 {
        assert!(keep_code(&mut conn, &hash(number), &alice, 5 * MINUTE).await.unwrap().is_some());
    }
    assert_eq!(keep_code(&mut conn, &hash(4), &user_id("nobody"), MINUTE).await.unwrap(), None);
    sqlx::query("UPDATE channel_dashboard_codes SET ends_at = now() - interval '1 second' WHERE hash = $1")
        .bind(hash(2).as_slice())
        .execute(&mut *conn)
        .await
        .unwrap();

    assert_eq!(use_code(&mut conn, &hash(1)).await.unwrap(), Some(alice.clone()));
    assert_eq!(use_code(&mut conn, &hash(1)).await.unwrap(), None, "used");
    assert_eq!(use_code(&mut conn, &hash(2)).await.unwrap(), None, "over");
    assert_eq!(use_code(&mut conn, &hash(9)).await.unwrap(), None, "never made");
    let mut one = tables.pg.begin().await.unwrap();
    assert_eq!(use_code(&mut one, &hash(3)).await.unwrap(), Some(alice));
    let third = hash(3);
    let other = use_code(&mut conn, &third);
    let (other, committed) = tokio::join!(other, one.commit());
    committed.unwrap();
    assert_eq!(other.unwrap(), None, "the second one waits for the first");
}

#[tokio::test]
async fn a_session_ends_by_its_time_its_owner_an_erasure_or_a_move() {
    let (tables, alice) = tables_with_alice().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    for number in 1..=3 {
        assert!(begin(&mut conn, &hash(number), &alice, 60 * MINUTE).await.unwrap());
    }
    assert!(!begin(&mut conn, &hash(4), &user_id("nobody"), MINUTE).await.unwrap());

    end(&mut conn, &hash(1)).await.unwrap();
    assert_eq!(user_of(&mut conn, &hash(1)).await.unwrap(), None);
    sqlx::query("UPDATE channel_dashboard_sessions SET ends_at = now() WHERE hash = $1")
        .bind(hash(2).as_slice())
        .execute(&mut *conn)
        .await
        .unwrap();
    assert_eq!(user_of(&mut conn, &hash(2)).await.unwrap(), None);
    assert_eq!(user_of(&mut conn, &hash(3)).await.unwrap(), Some(alice.clone()));

    users_elsewhere::put(&mut conn, &alice, &"west".parse().unwrap()).await.unwrap();
    assert_eq!(user_of(&mut conn, &hash(3)).await.unwrap(), None, "another cell has the user");
    assert!(!begin(&mut conn, &hash(5), &alice, MINUTE).await.unwrap());
    assert_eq!(keep_code(&mut conn, &hash(5), &alice, MINUTE).await.unwrap(), None);
    users_elsewhere::delete(&mut conn, &alice).await.unwrap();

    assert!(keep_code(&mut conn, &hash(6), &alice, MINUTE).await.unwrap().is_some());
    assert!(erasure::begin(&mut conn, &keys(), &alice).await.unwrap());
    assert_eq!(user_of(&mut conn, &hash(3)).await.unwrap(), None);
    assert_eq!(use_code(&mut conn, &hash(6)).await.unwrap(), None);
    assert!(dashboard_changes::marks(&mut conn, &[alice]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_over_for_a_day_goes_and_what_goes_on_stays() {
    let (tables, alice) = tables_with_alice().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    for table in ["channel_dashboard_codes", "channel_dashboard_sessions"] {
        let old = format!(
            "INSERT INTO {table} (hash, user_id, ends_at)
             SELECT sha256(n::TEXT::BYTEA), 'alice', now() - interval '25 hours' FROM generate_series(1, 600) n"
        );
        sqlx::query(sqlx::AssertSqlSafe(old)).execute(&mut *conn).await.unwrap();
    }
    keep_code(&mut conn, &hash(1), &alice, MINUTE).await.unwrap();
    begin(&mut conn, &hash(1), &alice, MINUTE).await.unwrap();

    for part in [RetainedPart::DashboardCodes, RetainedPart::DashboardSessions] {
        assert!(take_page(&mut conn, part, DAY).await.unwrap());
        assert!(!take_page(&mut conn, part, DAY).await.unwrap());
    }

    for table in ["channel_dashboard_codes", "channel_dashboard_sessions"] {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut *conn).await.unwrap(), 1, "{table}");
    }
}

#[tokio::test]
async fn a_mark_changes_with_whatever_the_page_shows() {
    let (tables, alice) = tables_with_alice().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let mut known = String::new();
    for change in [
        "SELECT 1",
        "UPDATE channel_users SET updated_at = updated_at + interval '1 second'",
        "INSERT INTO channel_claim_tokens (token_hash, user_id, replaces, expires_at) VALUES ('x', 'alice', FALSE, now() + interval '1 hour')",
        "UPDATE channel_claim_tokens SET expires_at = now()",
        "UPDATE channel_claim_tokens SET ended_at = now(), ending = 'redeemed'",
        "WITH a AS (INSERT INTO channel_addresses DEFAULT VALUES RETURNING id) INSERT INTO channel_links (user_id, address_id) SELECT 'alice', id FROM a",
        "UPDATE channel_links SET unproven_since = now()",
        "UPDATE channel_links SET ended_at = now()",
        "INSERT INTO whatsapp_consents (hashed_by, user_id, phone_hash, method, action, text, version) VALUES ('key', 'alice', 'x', 'inbound_stop', 'revoked', 'STOP', '')",
        "INSERT INTO whatsapp_sends (user_id, period_start, period_end, used) VALUES ('alice', now(), now() + interval '1 day', 1)",
        "UPDATE whatsapp_sends SET reserved = 1",
        "INSERT INTO channel_schedules (name, hash, definition) VALUES ('daily', 'x', '{}')",
        "INSERT INTO channel_slots (schedule, moment, definition, state) VALUES ('daily', now(), '{}', 'open')",
        "UPDATE channel_schedules SET enabled = FALSE, off_cause = 'by_hand', off_by = 'dana', off_since = now()",
    ] {
        sqlx::query(change).execute(&mut *conn).await.unwrap();
        let marks = dashboard_changes::marks(&mut conn, std::slice::from_ref(&alice)).await.unwrap();
        assert_ne!(known, marks[&alice], "nothing is seen of: {change}");
        known.clone_from(&marks[&alice]);
    }
    // A look at a schedule that has nothing due is no news to anybody.
    sqlx::query("UPDATE channel_schedules SET fired_until = now()").execute(&mut *conn).await.unwrap();
    let marks = dashboard_changes::marks(&mut conn, std::slice::from_ref(&alice)).await.unwrap();
    assert_eq!(known, marks[&alice]);
}
