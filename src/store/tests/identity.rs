//! Who is who: names, links, opt-outs, and what is left of them.

use chrono::{TimeDelta, Utc};
use sqlx::PgConnection;
use store::addresses::{self, Name, Writer};
use store::arrivals::{self, Inserted, NewMessage};
use store::claim_tokens::{self, TokenEnding};
use store::cursors::{self, Cursor};
use store::ids::AddressId;
use store::links::{self, LinkEnding};
use store::messages::{self, MessageOutcome};
use store::notices::{self, NoticeKind};
use store::opt_outs::{self, OptedOutBy};
use store::rate_buckets::{self, Bucket, Rate};
use store::secret_keys::SecretKeys;
use store::{consents, conversations, deliveries, erasure, merging, planned_chunks, users};
use tokio::task::JoinSet;

use crate::{PERSON, Tables, find, user_id};

const HIDDEN: &str = "whatsapp:US.abc";

pub(crate) fn keys() -> SecretKeys {
    SecretKeys::parse(&"of the tests".into()).unwrap()
}

/// A user with a link to the person of this name; the address.
async fn linked(conn: &mut PgConnection, user: &str, name: &str) -> AddressId {
    let address = find(conn, &[name]).await.unwrap().address.id;
    users::create_or_lock(conn, &user_id(user), "pro").await.unwrap();
    links::create(conn, &user_id(user), address).await.unwrap();
    address
}

/// A webhook that brings both names together.
async fn brought_together(conn: &mut PgConnection) -> AddressId {
    let found = find(conn, &[PERSON, HIDDEN]).await.unwrap();
    merging::merge(conn, &keys(), found.address.id, &found.twins).await.unwrap();
    found.address.id
}

async fn names(conn: &mut PgConnection, address: AddressId) -> Vec<Name> {
    addresses::names(conn, address).await.unwrap()
}

#[tokio::test]
async fn two_rows_that_prove_to_be_one_person_become_one() {
    let tables = Tables::new().await;
    let mut tx = tables.pg.begin().await.unwrap();
    let number = find(&mut tx, &[PERSON]).await.unwrap().address.id;
    let hidden = linked(&mut tx, "alice", HIDDEN).await;
    let params = serde_json::json!({});
    let new = NewMessage { sid: "SM1", address_id: hidden, body: "hi", params: &params, written_at: None };
    let Inserted::New { id, .. } = arrivals::insert(&mut tx, new).await.unwrap() else {
        panic!("SM1 is new")
    };

    let one = brought_together(&mut tx).await;

    assert_eq!(one, number, "the older row stands for both");
    assert_eq!(addresses::lock(&mut tx, hidden).await.unwrap().id, one);
    assert_eq!(links::of_user(&mut tx, &user_id("alice")).await.unwrap().unwrap().address_id, one);
    assert_eq!(messages::get(&mut tx, id).await.unwrap().unwrap().address_id, one);
    assert_eq!(names(&mut tx, one).await.len(), 2);
    assert_eq!(find(&mut tx, &[HIDDEN]).await.unwrap().address.id, one);
}

#[tokio::test]
async fn of_two_links_that_prove_to_be_one_persons_the_later_claim_holds() {
    let tables = Tables::new().await;
    let mut tx = tables.pg.begin().await.unwrap();
    linked(&mut tx, "former", PERSON).await;
    linked(&mut tx, "latter", HIDDEN).await;

    let one = brought_together(&mut tx).await;

    assert_eq!(links::of_address(&mut tx, one).await.unwrap().unwrap().user_id, user_id("latter"));
    assert_eq!(links::of_user(&mut tx, &user_id("former")).await.unwrap(), None);
    let told = consents::of_user(&mut tx, &user_id("former")).await.unwrap();
    assert_eq!((told[0].action.as_str(), told[0].text.as_str()), ("revoked", "merged"));
}

#[tokio::test]
async fn an_opt_out_under_one_name_is_one_of_the_person_and_goes_as_one() {
    let tables = Tables::new().await;
    let mut tx = tables.pg.begin().await.unwrap();
    let hidden = find(&mut tx, &[HIDDEN]).await.unwrap().address.id;
    let names_before = names(&mut tx, hidden).await;
    assert!(opt_outs::put(&mut tx, &keys(), &names_before, None, OptedOutBy::Keyword("STOP")).await.unwrap());
    assert!(
        !opt_outs::put(&mut tx, &keys(), &names_before, None, OptedOutBy::Keyword("STOP")).await.unwrap()
    );
    find(&mut tx, &[PERSON]).await.unwrap();

    let one = brought_together(&mut tx).await;

    let names = names(&mut tx, one).await;
    assert!(opt_outs::exists(&mut tx, &keys(), &names).await.unwrap());
    assert!(opt_outs::lift(&mut tx, &keys(), &names).await.unwrap());
    assert!(!opt_outs::exists(&mut tx, &keys(), &names_before).await.unwrap());
}

#[tokio::test]
async fn other_spellings_of_a_number_are_the_same_person() {
    let tables = Tables::new().await;
    let mut tx = tables.pg.begin().await.unwrap();
    let name = |alias: &str| Name { alias: alias.to_owned(), canonical: "whatsapp:+525512345678".to_owned() };

    let one = addresses::find_or_create(&mut tx, &[name("whatsapp:+5215512345678")]).await.unwrap();
    let other = addresses::find_or_create(&mut tx, &[name("whatsapp:+525512345678")]).await.unwrap();

    let [Writer::Found(one), Writer::Found(other)] = [one, other] else {
        panic!("a number alone is one person's")
    };
    assert_eq!(one.address.id, other.address.id);
    let names = addresses::names(&mut tx, one.address.id).await.unwrap();
    assert_eq!(names[0].alias, "whatsapp:+525512345678");
}

#[tokio::test]
async fn a_number_has_one_user_and_a_user_one_number() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let address = linked(&mut conn, "alice", PERSON).await;
    users::create_or_lock(&mut conn, &user_id("bob"), "pro").await.unwrap();

    assert!(links::create(&mut conn, &user_id("bob"), address).await.is_err());
    let other = find(&mut conn, &[HIDDEN]).await.unwrap().address.id;
    assert!(links::create(&mut conn, &user_id("alice"), other).await.is_err());

    let link = links::of_user(&mut conn, &user_id("alice")).await.unwrap().unwrap();
    links::end(&mut conn, &keys(), &link, LinkEnding::Unlinked).await.unwrap();
    links::end(&mut conn, &keys(), &link, LinkEnding::Unlinked).await.unwrap();
    assert_eq!(
        consents::of_user(&mut conn, &user_id("alice")).await.unwrap().len(),
        1,
        "ended once, told once"
    );
    links::create(&mut conn, &user_id("bob"), address).await.unwrap();
}

#[tokio::test]
async fn what_waits_for_a_link_that_ends_is_cancelled() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let address = linked(&mut conn, "alice", PERSON).await;
    let link = links::of_user(&mut conn, &user_id("alice")).await.unwrap().unwrap();
    let chunk = || planned_chunks::NewChunk {
        body: "hi",
        source: 0..2,
        meter_proactive: false,
        has_footer: false,
        is_template: false,
    };
    let delivery = deliveries::NewDelivery {
        address_id: address,
        conversation_id: None,
        turn_id: None,
        message_id: None,
        link_id: Some(link.id),
        purpose: deliveries::Purpose::Reply,
        text: "hihi",
        expires_at: Utc::now() + TimeDelta::hours(1),
        chunks: vec![chunk(), chunk()],
    };
    let (id, chunks) = deliveries::create(&mut conn, delivery).await.unwrap();

    links::end(&mut conn, &keys(), &link, LinkEnding::Unlinked).await.unwrap();

    assert_eq!(tables.state(chunks[0]).await, "cancelled");
    let (state, reason): (String, String) =
        sqlx::query_as("SELECT state, reason FROM channel_deliveries WHERE id = $1")
            .bind(id)
            .fetch_one(&tables.pg)
            .await
            .unwrap();
    assert_eq!((state.as_str(), reason.as_str()), ("cancelled", "not_linked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_phones_that_send_one_token_one_gets_it() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    users::create_or_lock(&mut conn, &user_id("alice"), "pro").await.unwrap();
    claim_tokens::create(&mut conn, &user_id("alice"), b"voided", false, 900.0).await.unwrap();
    claim_tokens::create(&mut conn, &user_id("alice"), b"hash", false, 900.0).await.unwrap();

    let tries: JoinSet<bool> = (0..20)
        .map(|_| {
            let pg = tables.pg.clone();
            async move {
                let mut tx = pg.begin().await.unwrap();
                let live = claim_tokens::lock_live(&mut tx, &[b"hash".to_vec()], Utc::now()).await.unwrap();
                if let Some(live) = &live {
                    claim_tokens::end(&mut tx, live.id, TokenEnding::Redeemed).await.unwrap();
                }
                tx.commit().await.unwrap();
                live.is_some()
            }
        })
        .collect();

    assert_eq!(tries.join_all().await.into_iter().filter(|got| *got).count(), 1);
    assert_eq!(claim_tokens::lock_live(&mut conn, &[b"voided".to_vec()], Utc::now()).await.unwrap(), None);
    let latest = claim_tokens::latest(&mut conn, &user_id("alice")).await.unwrap().unwrap();
    assert_eq!(latest.ending, Some(TokenEnding::Redeemed));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_tokens_that_are_handed_out_at_once_the_last_one_counts_and_none_is_refused() {
    let tables = Tables::new().await;
    users::create_or_lock(&mut tables.pg.acquire().await.unwrap(), &user_id("alice"), "pro").await.unwrap();

    let hand_out = |number: u8| {
        let pg = tables.pg.clone();
        async move {
            let mut tx = pg.begin().await.unwrap();
            let made = claim_tokens::create(&mut tx, &user_id("alice"), &[number], false, 900.0).await;
            tx.commit().await.unwrap();
            made.map(|_| ())
        }
    };
    let made = (0..50).map(hand_out).collect::<JoinSet<_>>().join_all().await;

    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let kept: (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE ended_at IS NULL AND id = (SELECT max(id) FROM channel_claim_tokens)), count(*) FILTER (WHERE ending = 'voided')
         FROM channel_claim_tokens",
    )
    .fetch_one(&tables.pg)
    .await
    .unwrap();
    assert_eq!(kept, (1, 49));
}

#[tokio::test]
async fn a_token_counts_by_the_time_it_was_sent() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    users::create_or_lock(&mut conn, &user_id("alice"), "pro").await.unwrap();
    let expires =
        claim_tokens::create(&mut conn, &user_id("alice"), b"hash", false, 900.0).await.unwrap().unwrap();
    let hashes = [b"hash".to_vec()];

    let in_time = claim_tokens::lock_live(&mut conn, &hashes, expires - TimeDelta::seconds(1)).await.unwrap();
    let late = claim_tokens::lock_live(&mut conn, &hashes, expires).await.unwrap();

    assert!(in_time.is_some());
    assert_eq!(late, None);
}

#[tokio::test]
async fn an_erased_user_leaves_nothing_but_the_proof_of_an_opt_out() {
    let tables = Tables::new().await;
    let message = tables.message("SM1").await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let address = find(&mut conn, &[PERSON, HIDDEN]).await.unwrap().address.id;
    let link = links::of_address(&mut conn, address).await.unwrap().unwrap();
    let names = names(&mut conn, address).await;
    opt_outs::put(&mut conn, &keys(), &names, Some(&link.user_id), OptedOutBy::Keyword("STOP"))
        .await
        .unwrap();
    let conversation = conversations::of_user(&mut conn, &link.user_id).await.unwrap();
    let turn = store::turns::begin(&mut conn, conversation, "echo", &[message]).await.unwrap();

    assert!(erasure::begin(&mut conn, &keys(), &link.user_id).await.unwrap());
    while erasure::empty_page(&mut conn, Some(&link.user_id)).await.unwrap() {}

    assert!(!erasure::begin(&mut conn, &keys(), &link.user_id).await.unwrap(), "there is nobody any more");
    assert!(!store::turns::finish_with_reply(&mut conn, turn.id, "late").await.unwrap());
    for name in &names {
        assert!(opt_outs::exists(&mut conn, &keys(), std::slice::from_ref(name)).await.unwrap(), "{name:?}");
    }
    // Everything that any table says, in one text.
    let said: String = sqlx::query_scalar(
        "SELECT concat((SELECT string_agg(t::TEXT, '') FROM channel_messages t), (SELECT string_agg(t::TEXT, '') FROM channel_turns t),
                       (SELECT string_agg(t::TEXT, '') FROM channel_address_aliases t), (SELECT string_agg(t::TEXT, '') FROM whatsapp_consents t),
                       (SELECT string_agg(t::TEXT, '') FROM whatsapp_proactive_opt_outs t), (SELECT string_agg(t::TEXT, '') FROM channel_links t))",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    for secret in ["15005550100", "US.abc", ",hi,"] {
        assert!(!said.contains(secret), "{secret} is still there: {said}");
    }
    let outcome = messages::get(&mut conn, message).await.unwrap().unwrap().outcome;
    assert_eq!(outcome, Some(MessageOutcome::Erased));
}

#[tokio::test]
async fn a_bucket_lets_through_what_it_holds_and_what_comes_in_time() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let rate = Rate { capacity: 3.0, per_sec: 0.5 };
    let begun = Utc::now() - TimeDelta::hours(1);
    let mut let_through = async |after_secs: i64| {
        let at = begun + TimeDelta::seconds(after_secs);
        rate_buckets::take(&mut conn, Bucket::Writer(AddressId(1)), rate, Some(at)).await.unwrap()
    };

    let mut passed = Vec::new();
    for after_secs in [0, 0, 0, 0, 1, 2, 2, 4, 60, 60, 60, 60] {
        passed.push(let_through(after_secs).await);
    }

    assert_eq!(passed, [true, true, true, false, false, true, false, true, true, true, true, false]);
}

#[tokio::test]
async fn a_bucket_and_a_cursor_that_lie_in_the_future_heal_and_none_is_put_there() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let rate = Rate { capacity: 2.0, per_sec: 0.001 };
    let later = Utc::now() + TimeDelta::days(3);
    // What a process wrote whose clock was three days ahead.
    sqlx::query("INSERT INTO channel_rate_buckets VALUES ('total', 0, $1)")
        .bind(later)
        .execute(&mut *conn)
        .await
        .unwrap();
    sqlx::query("INSERT INTO channel_cursors VALUES ('backfill', $1)")
        .bind(later)
        .execute(&mut *conn)
        .await
        .unwrap();

    let waits = rate_buckets::wait_secs(&mut conn, Bucket::Total, rate).await.unwrap();
    let mut passed = Vec::new();
    for at in [None, Some(later), None] {
        passed.push(rate_buckets::take(&mut conn, Bucket::Total, rate, at).await.unwrap());
    }
    let from = cursors::get(&mut conn, Cursor::Backfill).await.unwrap();
    cursors::advance(&mut conn, Cursor::Backfill, Utc::now() - TimeDelta::minutes(1)).await.unwrap();
    let healed = cursors::get(&mut conn, Cursor::Backfill).await.unwrap();
    cursors::advance(&mut conn, Cursor::Backfill, later).await.unwrap();

    assert_eq!((waits, passed), (0.0, vec![true, true, false]));
    assert!((Utc::now() - from - TimeDelta::days(1)).abs() < TimeDelta::minutes(1), "{from}");
    assert!(healed < Utc::now() && Utc::now() - healed < TimeDelta::hours(1), "{healed}");
    let ahead: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM channel_rate_buckets WHERE filled_at > clock_timestamp()) + (SELECT count(*) FROM channel_cursors WHERE moment > clock_timestamp())",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert_eq!(ahead, 0);
}

#[tokio::test]
async fn a_notice_is_due_once_in_its_time() {
    let tables = Tables::new().await;
    let (address, _) = tables.person().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let begun = Utc::now();

    let mut due = Vec::new();
    for (about, minutes) in [
        (NoticeKind::Linking, 0),
        (NoticeKind::Linking, 59),
        (NoticeKind::Plan, 59),
        (NoticeKind::Linking, 60),
        (NoticeKind::Linking, 61),
    ] {
        let now = begun + TimeDelta::minutes(minutes);
        due.push(notices::due(&mut conn, address, about, 3600.0, now).await.unwrap());
    }

    assert_eq!(due, [true, false, true, true, false]);
}
