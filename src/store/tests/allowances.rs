//! Allowances and chunks under chance: whatever is answered, reported, cancelled and said in whatever order, no chunk goes back from a proof, and
//! the counters are what the ledger and the chunks say.

use chrono::{TimeDelta, Utc};
use private_postgres::test_database::TestDatabase;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::{Connection as _, PgConnection};
use store::allowances::{self, ReservationWish, Usage};
use store::chunks::{self, ChunkState, End};
use store::deliveries::{self, Purpose};
use store::ids::{AddressId, ChunkId, DeliveryId, LinkId};
use store::in_doubt::{self, AdminVerdict};
use store::periods::{Anchor, Period};
use store::planned_chunks::NewChunk;
use store::proactive_deliveries::{self, Beginning, NewProactive, Opening};
use store::send_attempts::{self, Unsent};
use store::twilio_statuses;
use tokio::task::JoinSet;

use crate::{PERSON, SCHEMA, Tables, conversation, find, user_id, user_of};

const CAP: u32 = 6;

/// A person with a link; the address and the link.
async fn person(conn: &mut PgConnection) -> (AddressId, LinkId) {
    let address = find(conn, &[PERSON]).await.unwrap().address.id;
    conversation(conn, address).await;
    let link = store::links::of_address(conn, address).await.unwrap().unwrap();
    (address, link.id)
}

/// A delivery of so many metered chunks, if the allowance has room for them.
async fn reserved(
    conn: &mut PgConnection,
    (address, link): (AddressId, LinkId),
    number: usize,
    period: Period,
) -> Option<Vec<ChunkId>> {
    let user = user_of(address);
    let wish = ReservationWish { user_id: &user, period, cap: CAP, chunks: number };
    if allowances::reserve(conn, &[wish]).await.unwrap().is_empty() {
        return None;
    }
    let chunk = || NewChunk {
        body: "hi",
        source: 0..2,
        meter_proactive: true,
        has_footer: false,
        is_template: false,
    };
    let chunks: Vec<NewChunk<'_>> = (0..number).map(|_| chunk()).collect();
    let new = NewProactive {
        id: DeliveryId::generate(),
        user_id: &user,
        purpose: Purpose::Notification,
        text: "hi",
        template: None,
        expires_at: Utc::now() + TimeDelta::hours(1),
        quiet_rule: None,
        beginning: Beginning::Open(Opening {
            address_id: address,
            link_id: link,
            period_start: period.start,
            chunks,
        }),
    };
    let ids = proactive_deliveries::create(conn, &[new]).await.unwrap().remove(0);
    allowances::note_reserved(conn, &[(&user, period.start, &ids)]).await.unwrap();
    Some(ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_of_workers_passes_the_cap() {
    let tables = Tables::new().await;
    let who = person(&mut tables.pg.acquire().await.unwrap()).await;
    let period = Anchor::default().period(Utc::now());

    let tries: JoinSet<usize> = (0..30)
        .map(|_| {
            let pg = tables.pg.clone();
            async move {
                let mut tx = pg.begin().await.unwrap();
                store::addresses::lock(&mut tx, who.0).await.unwrap();
                let got = reserved(&mut tx, who, 2, period).await.map_or(0, |ids| ids.len());
                tx.commit().await.unwrap();
                got
            }
        })
        .collect();

    assert_eq!(tries.join_all().await.into_iter().sum::<usize>(), CAP as usize);
    let mut conn = tables.pg.acquire().await.unwrap();
    let usage = allowances::usage(&mut conn, &user_of(who.0), period).await.unwrap();
    assert_eq!((usage.used, usage.reserved), (0, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowance_that_many_begin_at_once_without_a_lock_is_not_passed() {
    let tables = Tables::new().await;
    let period = Anchor::default().period(Utc::now());

    let tries: JoinSet<usize> = (0..40)
        .map(|number| {
            let pg = tables.pg.clone();
            async move {
                let (few, many) = (1 + number % 3, CAP as usize + 1);
                let (lucky, greedy) = (user_id("few"), user_id("too many"));
                let wish = |user_id, chunks| ReservationWish { user_id, period, cap: CAP, chunks };
                let mut tx = pg.begin().await.unwrap();
                let granted =
                    allowances::reserve(&mut tx, &[wish(&lucky, few), wish(&greedy, many)]).await.unwrap();
                tx.commit().await.unwrap();
                assert!(!granted.contains(&greedy));
                if granted.contains(&lucky) { few } else { 0 }
            }
        })
        .collect();

    assert_eq!(tries.join_all().await.into_iter().sum::<usize>(), CAP as usize);
    let mut conn = tables.pg.acquire().await.unwrap();
    assert_eq!(allowances::usage(&mut conn, &user_id("few"), period).await.unwrap().reserved, 6);
    assert_eq!(allowances::usage(&mut conn, &user_id("too many"), period).await.unwrap(), Usage::default());
}

/// How far a state is, where one leads to another; a proof is never taken back.
fn rank(state: ChunkState) -> u8 {
    match state {
        ChunkState::Accepted => 1,
        ChunkState::Sent => 2,
        ChunkState::Delivered => 3,
        ChunkState::Read => 4,
        _ => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_a_chunk_its_proof_stands_and_the_counters_are_right() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let who = person(&mut conn).await;
    let period = Anchor::default().period(Utc::now());
    let user = user_of(who.0);
    let seed: u64 = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sids = 0;

    for _ in 0..60 {
        // A fresh cap for each history, so that it is always at its edge.
        sqlx::raw_sql("TRUNCATE whatsapp_sends, whatsapp_send_ledger, whatsapp_send_sums")
            .execute(&mut *conn)
            .await
            .unwrap();
        let Some(ids) = reserved(&mut conn, who, 3, period).await else { panic!("there is room") };
        let mut steps = Vec::new();
        for _ in 0..40 {
            let id = ids[rng.random_range(0..ids.len())];
            let before = chunks::get(&mut conn, id).await.unwrap().unwrap();
            let sid_before: Option<String> =
                sqlx::query_scalar("SELECT sid FROM channel_chunks WHERE id = $1")
                    .bind(id)
                    .fetch_one(&mut *conn)
                    .await
                    .unwrap();
            let step = rng.random_range(0..10);
            steps.push((step, id));
            match step {
                0 | 1 => drop(send_attempts::begin(&mut conn, id, PERSON, 20.0, None).await.unwrap()),
                2 if before.attempt > 0 => {
                    sids += 1;
                    send_attempts::store_sid(&mut conn, id, before.attempt, &format!("SM{sids}"))
                        .await
                        .unwrap();
                }
                3 => drop(
                    send_attempts::return_to_planned(&mut conn, id, before.attempt, Unsent::Missed, "missed")
                        .await
                        .unwrap(),
                ),
                4 => in_doubt::raise(&mut conn, id, before.attempt, "no answer").await.unwrap(),
                5 => {
                    let end = [End::Failed, End::Cancelled, End::Expired, End::Blocked, End::Unknown]
                        [rng.random_range(0..5)];
                    chunks::end(&mut conn, id, end, None, "chance").await.unwrap();
                }
                6 | 7 => {
                    let status = ["sent", "delivered", "read", "failed", "undelivered", "queued", "new"]
                        [rng.random_range(0..7)];
                    twilio_statuses::apply(&mut conn, id, status, None, None).await.unwrap();
                    if matches!(status, "failed" | "undelivered") {
                        allowances::credit(&mut conn, id).await.unwrap();
                        allowances::credit(&mut conn, id).await.unwrap();
                    }
                }
                8 => {
                    let verdict =
                        if rng.random_bool(0.5) { AdminVerdict::Arrived } else { AdminVerdict::SendAgain };
                    in_doubt::give_verdict(&mut conn, id, verdict, "somebody").await.unwrap();
                }
                _ => drop(deliveries::cancel(&mut conn, before.delivery_id, "chance").await.unwrap()),
            }
            deliveries::follow_chunks(&mut conn, before.delivery_id).await.unwrap();

            let after = chunks::get(&mut conn, id).await.unwrap().unwrap();
            let sid_after: Option<String> =
                sqlx::query_scalar("SELECT sid FROM channel_chunks WHERE id = $1")
                    .bind(id)
                    .fetch_one(&mut *conn)
                    .await
                    .unwrap();
            assert!(sid_before.is_none() || sid_before == sid_after, "seed {seed}: a SID changed: {steps:?}");
            let back = rank(after.state) < rank(before.state) && after.state != ChunkState::Failed;
            assert!(!back, "seed {seed}: {} after {}: {steps:?}", after.state, before.state);
            let drift = allowances::audit(&mut conn, i64::MAX).await.unwrap().drift;
            assert!(drift.is_empty(), "seed {seed}: {drift:?} after {steps:?}");
        }

        // What is used is what Twilio has, or may have; nothing stays reserved that is not still to be sent.
        let usage = allowances::usage(&mut conn, &user, period).await.unwrap();
        let (proven, open): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE sid IS NOT NULL OR verdict IS NOT NULL OR state = 'unknown'), count(*) FILTER (WHERE state IN ('planned', 'sending'))
             FROM channel_chunks WHERE id = ANY ($1)",
        )
        .bind(&ids)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        assert!(i64::from(usage.used) <= proven, "seed {seed}: {usage:?}, {proven} proven: {steps:?}");
        assert!(i64::from(usage.reserved) <= open, "seed {seed}: {usage:?}, {open} open: {steps:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_allowances_some_are_recomputed_and_all_when_asked() {
    let database = TestDatabase::create(&SCHEMA).await;
    let mut conn = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO channel_users (id, plan) SELECT format('user-%s', n), 'pro' FROM generate_series(1, 20000) n;
         INSERT INTO whatsapp_sends (user_id, period_start, period_end) SELECT id, now(), now() + interval '1 month' FROM channel_users;
         ANALYZE whatsapp_sends;
         UPDATE whatsapp_sends SET used = 1 WHERE user_id = 'user-7'",
    )
    .execute(&mut conn)
    .await
    .unwrap();

    let some = allowances::audit(&mut conn, 2_000).await.unwrap();
    let all = allowances::audit(&mut conn, 20_000).await.unwrap();

    assert_eq!(some.of_about, Some(20_000));
    assert!((500..6_000).contains(&some.recomputed), "{} are not about 2000", some.recomputed);
    assert_eq!((all.recomputed, all.of_about), (20_000, None));
    assert_eq!(all.drift.len(), 1);
    assert_eq!(all.drift[0].detail, "used 1, reserved 0, credited 0; the ledger says 0, 0, 0");
}
