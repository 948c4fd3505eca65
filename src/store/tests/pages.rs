//! Pages of administrators' lists: nothing is passed, however much does not fit.

use sqlx::PgConnection;
use store::chunk_place::ChunkPlace;
use store::chunk_search::{self, ChunkSearch};
use store::chunks::ChunkState;
use store::deliveries::DeliveryState;
use store::delivery_search::{self, DeliveryPage, DeliverySearch, LOOKED_AT, WhoseDeliveries};
use store::ids::{ChunkId, DeliveryId};
use store::text_enum::TextEnum as _;

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
    let usual = DeliverySearch {
        states: vec![DeliveryState::Sent],
        reason: Some("quo"),
        limit: 10,
        ..DeliverySearch::default()
    };
    let usual = delivery_search::page(&mut conn, &usual).await.unwrap();
    let by_reason = DeliverySearch { reason: Some("quo"), limit: 10, ..DeliverySearch::default() };
    let by_reason = delivery_search::page(&mut conn, &by_reason).await.unwrap();
    let literal = DeliverySearch { reason: Some("%"), limit: 10, ..DeliverySearch::default() };

    assert_eq!(first, DeliveryPage { ids: vec![id(all - 10)], next: Some(id(all - LOOKED_AT + 1)) });
    assert_eq!(second, DeliveryPage { ids: vec![id(5)], next: None });
    assert_eq!(by_state, DeliveryPage { ids: vec![id(all - 10)], next: Some(id(all - 10)) });
    // What was sent has no reason, so nothing is looked at.
    assert_eq!(usual, DeliveryPage::default());
    assert_eq!(by_reason, DeliveryPage { ids: vec![id(all - 10), id(5)], next: None });
    assert_eq!(delivery_search::page(&mut conn, &literal).await.unwrap(), DeliveryPage::default());
}

/// All chunks that fit, by pages of this size.
async fn paged(conn: &mut PgConnection, mut search: ChunkSearch<'_>) -> Vec<ChunkId> {
    let mut all = Vec::new();
    loop {
        let page = chunk_search::page(conn, &search).await.unwrap();
        assert!(page.ids.len() <= usize::try_from(search.limit).unwrap(), "{page:?}");
        all.extend(page.ids);
        if page.next.is_none() {
            return all;
        }
        search.before = page.next;
    }
}

#[tokio::test]
async fn every_chunk_stands_on_one_page_wherever_a_page_cuts_a_delivery() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    // Five deliveries of three chunks; each second one failed, the first of all was planned long ago.
    sqlx::raw_sql(
        "INSERT INTO channel_addresses (id) OVERRIDING SYSTEM VALUE VALUES (7);
         INSERT INTO channel_deliveries (id, address_id, user_id, purpose, text, state, expires_at, created_at, closed_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID, 7, 'alice', 'notification', '', CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'open' END, now(),
                CASE WHEN n = 1 THEN now() - interval '9 days' ELSE now() END, CASE WHEN n % 2 = 0 THEN now() END FROM generate_series(1, 5) n;
         INSERT INTO channel_chunks (id, delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, state, error_code)
         OVERRIDING SYSTEM VALUE
         SELECT 10 * n + i, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID, i, '', 0, 0, FALSE, FALSE, CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'planned' END,
                CASE WHEN n % 2 = 0 THEN 63024 END FROM generate_series(1, 5) n, generate_series(0, 2) i",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    let of = |deliveries: &[i64]| -> Vec<ChunkId> {
        deliveries.iter().flat_map(|n| [2, 1, 0].map(|index| ChunkId(10 * n + index))).collect()
    };
    let (alice, now) = (user_id("alice"), store::clock::now(&mut conn).await.unwrap());
    let whose = || WhoseDeliveries::User { id: &alice, conversation: None, addresses: Vec::new() };
    let searches: [(&str, ChunkSearch<'_>, &[i64]); 8] = [
        ("all", ChunkSearch::default(), &[5, 4, 3, 2, 1]),
        ("of a user", ChunkSearch { whose: Some(whose()), ..ChunkSearch::default() }, &[5, 4, 3, 2, 1]),
        (
            "to a person",
            ChunkSearch {
                whose: Some(WhoseDeliveries::People(vec![store::ids::AddressId(7)])),
                state: Some(ChunkState::Failed),
                ..ChunkSearch::default()
            },
            &[4, 2],
        ),
        ("failed", ChunkSearch { state: Some(ChunkState::Failed), ..ChunkSearch::default() }, &[4, 2]),
        ("planned", ChunkSearch { state: Some(ChunkState::Planned), ..ChunkSearch::default() }, &[5, 3, 1]),
        ("delivered", ChunkSearch { state: Some(ChunkState::Delivered), ..ChunkSearch::default() }, &[]),
        ("by code", ChunkSearch { error_code: Some(63024), ..ChunkSearch::default() }, &[4, 2]),
        (
            "of long ago",
            ChunkSearch { until: Some(now - chrono::TimeDelta::days(8)), ..ChunkSearch::default() },
            &[1],
        ),
    ];

    for (what, search, deliveries) in searches {
        for limit in [1, 2, 3, 4, 50] {
            // The ids of these deliveries are older than their rows.
            let search = ChunkSearch { limit, ..search.clone() };
            assert_eq!(paged(&mut conn, search).await, of(deliveries), "{what}, by {limit}");
        }
    }
}

#[tokio::test]
async fn deliveries_without_a_chunk_hide_none_behind_them() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let all = LOOKED_AT + 5;
    sqlx::query(
        "INSERT INTO channel_deliveries (id, user_id, purpose, text, state, reason, expires_at, closed_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID, 'alice', 'notification', '', 'blocked', 'quota', now(), now() FROM generate_series(1, $1) n",
    )
    .bind(all)
    .execute(&mut *conn)
    .await
    .unwrap();
    let insert = "INSERT INTO channel_chunks (delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, state)
                  VALUES ('00000000-0000-7000-8000-000000000001', 0, '', 0, 0, FALSE, FALSE, 'blocked') RETURNING id";
    let oldest: ChunkId = sqlx::query_scalar(insert).fetch_one(&mut *conn).await.unwrap();
    let alice = user_id("alice");
    let whose = Some(WhoseDeliveries::User { id: &alice, conversation: None, addresses: Vec::new() });
    let search = ChunkSearch { whose, limit: 10, ..ChunkSearch::default() };

    let first = chunk_search::page(&mut conn, &search).await.unwrap();

    assert_eq!(first.ids, []);
    assert!(first.next.is_some_and(|next| next > ChunkPlace { delivery: id(1), index: 0 }), "{first:?}");
    assert_eq!(paged(&mut conn, search.clone()).await, [oldest]);
    let blocked = ChunkSearch { state: Some(ChunkState::Blocked), ..search };
    let next = chunk_search::page(&mut conn, &blocked).await.unwrap().next;
    assert_eq!(next, Some(ChunkPlace { delivery: id(all - LOOKED_AT + 1), index: 0 }));
    assert_eq!(paged(&mut conn, blocked).await, [oldest]);
}

#[test]
fn a_place_is_read_as_it_is_written() {
    let place = ChunkPlace { delivery: id(7), index: 3 };

    assert_eq!(place.to_string().parse(), Ok(place));
    for wrong in
        ["", "7", "00000000-0000-7000-8000-000000000007", "00000000-0000-7000-8000-000000000007.-1", "x.1"]
    {
        assert!(wrong.parse::<ChunkPlace>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_persons_chunk_is_found_by_its_state_whatever_became_of_the_others_of_its_delivery() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    // Deliveries of two chunks, in each pair of states.
    sqlx::raw_sql(
        "WITH pairs AS (
             SELECT row_number() OVER () AS n, one.state AS one, other.state AS other
             FROM unnest(ARRAY['planned', 'sending', 'accepted', 'sent', 'delivered', 'read', 'failed', 'cancelled', 'blocked', 'expired', 'unknown']) AS one (state),
                  unnest(ARRAY['planned', 'sending', 'accepted', 'sent', 'delivered', 'read', 'failed', 'cancelled', 'blocked', 'expired', 'unknown']) AS other (state)
         ), planned AS (
             INSERT INTO channel_deliveries (id, user_id, purpose, text, expires_at)
             SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID, 'alice', 'notification', '', now() FROM pairs
         )
         INSERT INTO channel_chunks (delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, state, sid, deadline_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID, i, '', 0, 0, FALSE, FALSE, CASE i WHEN 0 THEN one ELSE other END, format('SM%s-%s', n, i), now()
         FROM pairs, generate_series(0, 1) i",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    for number in 1..=121 {
        store::deliveries::follow_chunks(&mut conn, id(number)).await.unwrap();
    }
    let alice = user_id("alice");

    for text in ChunkState::TEXTS {
        let whose = Some(WhoseDeliveries::User { id: &alice, conversation: None, addresses: Vec::new() });
        let state = Some(text.parse().unwrap());
        let found =
            paged(&mut conn, ChunkSearch { whose, state, limit: 500, ..ChunkSearch::default() }).await;
        let all = "SELECT id FROM channel_chunks WHERE state = $1 ORDER BY delivery_id DESC, index DESC";
        let all: Vec<ChunkId> = sqlx::query_scalar(all).bind(text).fetch_all(&mut *conn).await.unwrap();

        assert!(!all.is_empty(), "{text}");
        assert_eq!(found, all, "{text}");
    }
}
