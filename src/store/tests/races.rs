//! Many at once, and one wins.

use std::future::Future;

use serde_json::json;
use sqlx::PgConnection;
use store::addresses::Name;
use store::alerts::AlertCause;
use store::arrivals::{self, Arrived, Inserted, NewMessage, StoredArrival};
use store::ids::{AddressId, MessageId};
use store::{addresses, alerts, send_attempts};
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
            arrivals::insert(&mut pg.acquire().await.unwrap(), new).await.unwrap()
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
                let unseen = format!("{PERSON}9{number:02}");
                find(&mut tx, &[&known, &unseen]).await?;
            } else {
                addresses::lock(&mut tx, address).await?;
                addresses::names(&mut tx, address).await?;
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
            send_attempts::begin(&mut pg.acquire().await.unwrap(), chunk, PERSON, 20.0, None).await.unwrap()
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
            let cause = if number % 2 == 0 { AlertCause::Clock } else { AlertCause::Template };
            let mut tx = pg.begin().await.unwrap();
            let new = alerts::raise(&mut tx, cause, "detail", 3600.0, false).await.unwrap();
            tx.commit().await.unwrap();
            new
        }
    });

    assert_eq!(new.await.into_iter().filter(|raised| raised.is_news).count(), 2);
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

/// Messages with one name each, under these SIDs.
async fn together(conn: &mut PgConnection, messages: &[(&str, &str)]) -> Vec<StoredArrival> {
    let names: Vec<[Name; 1]> = messages
        .iter()
        .map(|(_, name)| [Name { alias: (*name).to_owned(), canonical: (*name).to_owned() }])
        .collect();
    let params = json!({});
    let arrived: Vec<Arrived<'_>> = std::iter::zip(messages, &names)
        .map(|((sid, _), names)| Arrived { names, sid, body: "hi", params: &params })
        .collect();
    arrivals::insert_together(conn, &arrived).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_together_wait_for_nobody_and_are_stored_once_in_their_order() {
    let tables = Tables::new().await;
    let people = ["whatsapp:+15005550101", "whatsapp:+15005550102", "whatsapp:+15005550103"];
    let mut ids = Vec::new();
    for name in people {
        ids.push(find(&mut tables.pg.acquire().await.unwrap(), &[name]).await.unwrap().address.id);
    }
    let mut locked = tables.pg.begin().await.unwrap();
    addresses::lock(&mut locked, ids[1]).await.unwrap();
    let mut conn = tables.pg.acquire().await.unwrap();

    let arrived = [
        ("SM1", people[2]),
        ("SM2", people[1]),
        ("SM3", "whatsapp:+15005550199"),
        ("SM4", people[0]),
        ("SM5", people[2]),
    ];
    let taken = together(&mut conn, &arrived).await;
    let again = together(&mut conn, &arrived).await;
    locked.rollback().await.unwrap();
    let free = together(&mut conn, &arrived).await;

    // The one who is locked and the one who is new are left out.
    let who = |taken: &[StoredArrival]| -> Vec<(usize, AddressId)> {
        taken.iter().map(|one| (one.place, one.address_id)).collect()
    };
    assert_eq!(who(&taken), [(0, ids[2]), (3, ids[0]), (4, ids[2])]);
    let numbers: Vec<MessageId> = taken
        .iter()
        .map(|one| match one.inserted {
            Inserted::New { id, .. } => id,
            Inserted::Duplicate => panic!("{one:?} is new"),
        })
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(again.iter().all(|one| one.inserted == Inserted::Duplicate), "{again:?}");
    assert_eq!(who(&free).len(), 4);
    let stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM channel_messages").fetch_one(&tables.pg).await.unwrap();
    assert_eq!(stored, 4);
}

/// A message may have two names; it is left out where they are not all known as one person's, and the first is the one to write to.
#[tokio::test(flavor = "multi_thread")]
async fn of_messages_that_come_together_only_those_of_one_known_person_are_taken() {
    let tables = Tables::new().await;
    let (phone, hidden, other, spelling) =
        ("whatsapp:+5215512345678", "whatsapp:MX.1", "whatsapp:MX.2", "whatsapp:+525512345678");
    let mut conn = tables.pg.acquire().await.unwrap();
    let person = find(&mut conn, &[hidden, phone]).await.unwrap().address.id;
    find(&mut conn, &[other]).await.unwrap();
    let name =
        |alias: &str, canonical: &str| Name { alias: alias.to_owned(), canonical: canonical.to_owned() };
    let params = json!({});
    let cases = [
        ("SM1", vec![name(phone, phone), name(hidden, hidden)], true),
        ("SM2", vec![name(phone, phone), name(other, other)], false),
        ("SM3", vec![name(phone, phone), name("whatsapp:MX.3", "whatsapp:MX.3")], false),
        // Known in another spelling only.
        ("SM4", vec![name(spelling, phone)], false),
        // Twilio fills both fields with the same name where the number is hidden.
        ("SM5", vec![name(hidden, hidden), name(hidden, hidden)], true),
    ];

    for (sid, names, taken) in &cases {
        let arrived = [Arrived { names, sid, body: "hi", params: &params }];
        let got = arrivals::insert_together(&mut conn, &arrived).await.unwrap();
        assert_eq!(
            got.iter().map(|one| one.address_id).collect::<Vec<_>>(),
            vec![person; usize::from(*taken)],
            "{sid}"
        );
        if *taken {
            let kept = addresses::names(&mut conn, person).await.unwrap();
            assert_eq!(kept[0].alias, names[0].alias, "{sid}");
        }
    }
}
