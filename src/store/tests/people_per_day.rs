//! Places among the people of a day.

use store::ids::AddressId;
use store::people_per_day::{Queue, take};

use crate::Tables;

async fn taken(tables: &Tables) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM channel_people_places WHERE taken_at > now() - interval '24 hours'",
    )
    .fetch_one(&tables.pg)
    .await
    .unwrap()
}

/// Places that were taken so many hours earlier than they were.
async fn hours_pass(tables: &Tables, hours: i32) {
    sqlx::query("UPDATE channel_people_places SET taken_at = taken_at - make_interval(hours => $1) WHERE taken_at > '-infinity'")
        .bind(hours)
        .execute(&tables.pg)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_places_than_the_limit_however_many_want_one_at_once() {
    let tables = Tables::new().await;

    let wishes = (0..20).map(|wish| {
        let pg = tables.pg.clone();
        tokio::spawn(async move {
            let people: Vec<AddressId> = (0..15).map(|person| AddressId(wish * 10 + person)).collect();
            let mut tx = pg.begin().await.unwrap();
            let granted = take(&mut tx, 100, &people, Queue::Behind).await.unwrap();
            // Some die before they commit.
            if wish % 5 == 0 {
                tx.rollback().await.unwrap()
            } else {
                tx.commit().await.unwrap()
            }
            granted.len()
        })
    });
    for wish in wishes.collect::<Vec<_>>() {
        wish.await.unwrap();
    }
    let mut conn = tables.pg.acquire().await.unwrap();
    let rest: Vec<AddressId> = (1000..1200).map(AddressId).collect();
    take(&mut conn, 100, &rest, Queue::Behind).await.unwrap();

    assert_eq!(taken(&tables).await, 100);
    assert!(take(&mut conn, 100, &[AddressId(5000)], Queue::Ahead).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_keeps_the_place_and_gives_it_back_after_a_day() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let (alice, bob) = (AddressId(1), AddressId(2));

    assert_eq!(take(&mut conn, 1, &[alice, bob], Queue::Behind).await.unwrap(), [alice].into());
    hours_pass(&tables, 23).await;
    assert_eq!(take(&mut conn, 1, &[bob, alice], Queue::Behind).await.unwrap(), [alice].into());
    hours_pass(&tables, 23).await;
    assert!(
        take(&mut conn, 1, &[bob], Queue::Behind).await.unwrap().is_empty(),
        "her second message counts anew"
    );
    hours_pass(&tables, 2).await;

    assert_eq!(take(&mut conn, 1, &[bob, alice], Queue::Behind).await.unwrap(), [bob].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_limit_counts_those_who_had_a_place_before_and_a_higher_one_makes_more() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let people = |from: i64, number: i64| (from..from + number).map(AddressId).collect::<Vec<_>>();
    take(&mut conn, 5, &people(0, 5), Queue::Behind).await.unwrap();
    hours_pass(&tables, 23).await;
    take(&mut conn, 10, &people(10, 5), Queue::Behind).await.unwrap();
    hours_pass(&tables, 2).await;

    let lowered = take(&mut conn, 6, &people(20, 6), Queue::Behind).await.unwrap();

    assert_eq!((lowered.len(), taken(&tables).await), (1, 6), "five of the higher limit still count");
    assert_eq!(take(&mut conn, 20, &people(30, 30), Queue::Behind).await.unwrap().len(), 14);
}
