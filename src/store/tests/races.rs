//! Many at once, and one wins.

use std::future::Future;

use serde_json::json;
use store::messages::{self, Inserted, NewMessage};
use store::{addresses, alerts, chunks};
use tokio::task::JoinSet;

use crate::{PERSON, Tables, find};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_in_once_though_fifty_webhooks_bring_it() {
    let tables = Tables::new().await;
    let (address_id, _) = tables.person().await;
    let pg = tables.pg.clone();

    let inserted = at_once(50, |_| {
        let pg = pg.clone();
        async move {
            let params = json!({});
            let new = NewMessage { sid: "SM1", address_id, body: "hi", params: &params, written_at: None };
            messages::insert(&mut pg.acquire().await.unwrap(), new).await.unwrap()
        }
    });

    let new = inserted.await.into_iter().filter(|inserted| *inserted != Inserted::Duplicate);
    assert_eq!(new.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_and_sends_of_one_person_never_wait_for_each_other_for_ever() {
    let tables = Tables::new().await;
    let (address, _) = tables.person().await;
    // Known aliases of one person have no lock in common but the person's own.
    let known: Vec<String> = (0..30).map(|number| format!("{PERSON}{number}")).collect();
    let together: Vec<&str> = std::iter::once(PERSON).chain(known.iter().map(String::as_str)).collect();
    find(&mut tables.pg.acquire().await.unwrap(), &together).await.unwrap();

    let ended = at_once(60, |number| {
        let (pg, known) = (tables.pg.clone(), known[number / 2].clone());
        async move {
            let mut tx = pg.begin().await?;
            if number % 2 == 0 {
                let unseen = format!("whatsapp:US.{number}");
                find(&mut tx, &[&known, &unseen]).await?;
            } else {
                addresses::lock(&mut tx, address).await?;
                addresses::send_to(&mut tx, address).await?;
            }
            tx.commit().await
        }
    });

    for result in ended.await {
        result.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_senders_gets_the_chunk() {
    let tables = Tables::new().await;
    let chunk = tables.chunks(1).await[0];

    let begun = at_once(20, |_| {
        let pg = tables.pg.clone();
        async move {
            chunks::begin_sending(&mut pg.acquire().await.unwrap(), chunk, PERSON, 20.0, None).await.unwrap()
        }
    });

    assert_eq!(begun.await.into_iter().flatten().collect::<Vec<_>>(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_new_once_per_cause_though_many_raise_it() {
    let tables = Tables::new().await;

    let new = at_once(20, |number| {
        let pg = tables.pg.clone();
        async move {
            let cause = if number % 2 == 0 { "one" } else { "another" };
            let mut tx = pg.begin().await.unwrap();
            let new = alerts::raise(&mut tx, cause, "detail").await.unwrap();
            tx.commit().await.unwrap();
            new
        }
    });

    assert_eq!(new.await.into_iter().flatten().count(), 2);
    let times: Vec<i32> =
        sqlx::query_scalar("SELECT times FROM channel_alerts").fetch_all(&tables.pg).await.unwrap();
    assert_eq!(times, [10, 10]);
}

/// What this many tasks return that run at once.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    tasks: usize,
    task: impl Fn(usize) -> F,
) -> Vec<T> {
    let running: JoinSet<T> = (0..tasks).map(task).collect();
    running.join_all().await
}
