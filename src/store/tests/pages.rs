//! Pages of administrators' lists: nothing is passed, however much does not fit.

use store::deliveries::DeliveryState;
use store::delivery_search::{self, DeliveryPage, DeliverySearch, LOOKED_AT, WhoseDeliveries};
use store::ids::DeliveryId;

use crate::{Tables, user_id};

/// The id of the delivery that was planned as this one.
fn id(number: i64) -> DeliveryId {
    DeliveryId(format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap())
}

#[tokio::test]
async fn a_page_that_finds_little_among_the_newest_says_where_the_next_one_goes_on() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let all = LOOKED_AT + 110;
    sqlx::query(
        "INSERT INTO channel_deliveries (id, user_id, purpose, text, state, reason, expires_at, closed_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID, 'alice', 'notification', '', CASE WHEN n IN (5, $1 - 10) THEN 'blocked' ELSE 'sent' END,
                CASE WHEN n IN (5, $1 - 10) THEN 'quota' END, now(), now() FROM generate_series(1, $1) n",
    )
    .bind(all)
    .execute(&mut *conn)
    .await
    .unwrap();
    let alice = user_id("alice");
    let whose = || Some(WhoseDeliveries::User { id: &alice, conversation: None, addresses: Vec::new() });
    let of_alice = |before| DeliverySearch {
        whose: whose(),
        states: vec![DeliveryState::Blocked],
        before,
        limit: 10,
        ..DeliverySearch::default()
    };

    let first = delivery_search::page(&mut conn, &of_alice(None)).await.unwrap();
    let second = delivery_search::page(&mut conn, &of_alice(first.next)).await.unwrap();
    // By its state alone an index has it, and by its reason, too.
    let by_state =
        DeliverySearch { states: vec![DeliveryState::Blocked], limit: 1, ..DeliverySearch::default() };
    let by_state = delivery_search::page(&mut conn, &by_state).await.unwrap();
    let by_reason = DeliverySearch { reason: Some("quo"), limit: 10, ..DeliverySearch::default() };
    let by_reason = delivery_search::page(&mut conn, &by_reason).await.unwrap();
    let literal = DeliverySearch { reason: Some("%"), limit: 10, ..DeliverySearch::default() };

    assert_eq!(first, DeliveryPage { ids: vec![id(all - 10)], next: Some(id(all - LOOKED_AT + 1)) });
    assert_eq!(second, DeliveryPage { ids: vec![id(5)], next: None });
    assert_eq!(by_state, DeliveryPage { ids: vec![id(all - 10)], next: Some(id(all - 10)) });
    assert_eq!(by_reason, DeliveryPage { ids: vec![id(all - 10), id(5)], next: None });
    assert_eq!(delivery_search::page(&mut conn, &literal).await.unwrap(), DeliveryPage::default());
}
