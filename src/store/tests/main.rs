//! The tables' promises, on a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the clock of the machine that runs the database"
)]

mod agent_outages;
mod allowances;
mod catalog;
mod dashboard_sessions;
mod erasures;
mod identity;
mod literals;
mod migrating;
mod pages;
mod people_per_day;
mod plans;
mod proofs;
mod races;
mod retention;
mod retention_of_ended;
mod slots;
mod states;
mod text_enums;
mod user_details;
mod waiting;

use chrono::{TimeDelta, Utc};
use private_postgres::schema::Schema;
use private_postgres::test_database::TestDatabase;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use store::addresses::{FoundAddress, Name, Writer};
use store::alerts::AlertCause;
use store::arrivals::{self, Inserted, NewMessage};
use store::chunks::{self, End};
use store::deliveries::{self, NewDelivery, Purpose};
use store::ids::{AddressId, AlertId, ChunkId, ConversationId, MessageId, UserId};
use store::messages::{self, MessageOutcome};
use store::migrations;
use store::planned_chunks::NewChunk;
use store::send_attempts::{self, SidOutcome, Unsent};
use store::{addresses, agent_calls, alerts, conversations, links, turns, twilio_statuses, users};

pub(crate) static SCHEMA: Schema<'static> =
    Schema { migrations: &migrations::MIGRATOR, functions: migrations::FUNCTIONS };

const PERSON: &str = "whatsapp:+15005550100";

/// The person with these names, each its own canonical spelling.
async fn find(conn: &mut PgConnection, names: &[&str]) -> sqlx::Result<FoundAddress> {
    let name = |name: &&str| Name { alias: (*name).to_owned(), canonical: (*name).to_owned() };
    match addresses::find_or_create(conn, &names.iter().map(name).collect::<Vec<_>>()).await? {
        Writer::Found(found) => Ok(found),
        Writer::Contested(contested) => panic!("{names:?} is {contested:?}"),
    }
}

fn user_id(id: &str) -> UserId {
    id.parse().unwrap()
}

/// The one user who has this address.
fn user_of(address_id: AddressId) -> UserId {
    user_id(&format!("user of {address_id}"))
}

/// The conversation of the one user who has this address.
async fn conversation(conn: &mut PgConnection, address_id: AddressId) -> ConversationId {
    let user = user_of(address_id);
    users::create_or_lock(conn, &user, "pro").await.unwrap();
    if links::of_user(conn, &user).await.unwrap().is_none() {
        links::create(conn, &user, address_id).await.unwrap();
    }
    conversations::of_user(conn, &user).await.unwrap()
}

struct Tables {
    _database: TestDatabase,
    pg: PgPool,
}

impl Tables {
    async fn new() -> Self {
        let database = TestDatabase::create(&SCHEMA).await;
        let pg = database.pool().await;
        Self { _database: database, pg }
    }

    /// A person with a conversation: the address's id and the conversation's.
    async fn person(&self) -> (AddressId, ConversationId) {
        let mut tx = self.pg.begin().await.unwrap();
        let address = find(&mut tx, &[PERSON]).await.unwrap().address;
        let conversation = conversation(&mut tx, address.id).await;
        tx.commit().await.unwrap();
        (address.id, conversation)
    }

    /// An accepted message; its id.
    async fn message(&self, sid: &str) -> MessageId {
        let (address_id, conversation_id) = self.person().await;
        let mut conn = self.pg.acquire().await.unwrap();
        let new = NewMessage { sid, address_id, body: "hi", params: &json!({}), written_at: None };
        let Inserted::New { id, .. } = arrivals::insert(&mut conn, new).await.unwrap() else {
            panic!("{sid} is new")
        };
        messages::mark_for_agent(&mut conn, id, conversation_id).await.unwrap();
        id
    }

    /// A delivery of so many chunks; their ids.
    async fn chunks(&self, number: usize) -> Vec<ChunkId> {
        let (address_id, _) = self.person().await;
        let chunk = || NewChunk {
            body: "hi",
            source: 0..2,
            meter_proactive: false,
            has_footer: false,
            is_template: false,
        };
        let delivery = NewDelivery {
            address_id,
            conversation_id: None,
            turn_id: None,
            message_id: None,
            link_id: None,
            purpose: Purpose::Reply,
            text: "hi",
            expires_at: Utc::now() + TimeDelta::hours(1),
            chunks: (0..number).map(|_| chunk()).collect(),
        };
        deliveries::create(&mut self.pg.acquire().await.unwrap(), delivery).await.unwrap().1
    }

    /// A chunk that is being sent, at attempt 1.
    async fn sending_chunk(&self) -> ChunkId {
        let id = self.chunks(1).await[0];
        let attempt = send_attempts::begin(&mut self.pg.acquire().await.unwrap(), id, PERSON, 20.0, None)
            .await
            .unwrap();
        assert_eq!(attempt, Some(1));
        id
    }

    async fn state(&self, chunk: ChunkId) -> &'static str {
        chunks::get(&mut self.pg.acquire().await.unwrap(), chunk).await.unwrap().unwrap().state.as_str()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_first_webhooks_of_one_person_make_one_address() {
    let tables = Tables::new().await;
    let (number, id) = (PERSON, "whatsapp:US.abc");

    let arrivals = (0..50).map(|n| {
        let pg = tables.pg.clone();
        tokio::spawn(async move {
            let mut tx = pg.begin().await.unwrap();
            let aliases: &[&str] = if n % 2 == 0 { &[number, id] } else { &[id, number] };
            let address = find(&mut tx, aliases).await.unwrap().address;
            conversation(&mut tx, address.id).await;
            tx.commit().await.unwrap();
            address.id
        })
    });
    let mut ids: Vec<AddressId> =
        futures::future::join_all(arrivals).await.into_iter().map(Result::unwrap).collect();
    ids.dedup();

    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_written_to_where_the_last_message_came_from() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    let address = find(&mut conn, &[PERSON, "whatsapp:US.abc"]).await.unwrap().address;
    assert_eq!(addresses::names(&mut conn, address.id).await.unwrap()[0].alias, PERSON);
    find(&mut conn, &["whatsapp:US.abc"]).await.unwrap();

    assert_eq!(addresses::names(&mut conn, address.id).await.unwrap()[0].alias, "whatsapp:US.abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_in_once() {
    let tables = Tables::new().await;
    let (address_id, _) = tables.person().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let params = json!({});
    let mut insert = async || {
        let new = NewMessage { sid: "SM1", address_id, body: "hi", params: &params, written_at: None };
        arrivals::insert(&mut conn, new).await.unwrap()
    };

    let (first, second) = (insert().await, insert().await);

    assert!(matches!(first, Inserted::New { .. }));
    assert_eq!(second, Inserted::Duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_ends_once_and_its_messages_with_it() {
    let tables = Tables::new().await;
    let message = tables.message("SM1").await;
    let (_, conversation) = tables.person().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    let turn = turns::begin(&mut conn, conversation, "echo", &[message]).await.unwrap();
    let again = agent_calls::count(&mut conn, turn.id).await.unwrap();
    let replied = turns::finish_with_reply(&mut conn, turn.id, "yes").await.unwrap();
    let failed = turns::fail(&mut conn, turn.id, "no").await.unwrap();

    assert_eq!((turn.calls, again.calls), (1, 2));
    assert_eq!((replied, failed), (true, false));
    assert_eq!(
        messages::get(&mut conn, message).await.unwrap().unwrap().outcome,
        Some(MessageOutcome::Answered)
    );
    assert!(messages::unanswered(&mut conn, conversation).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_call_that_began_no_run_is_given_back_and_asked_again_under_the_same_number() {
    let tables = Tables::new().await;
    let (_, conversation) = tables.person().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let first = turns::begin(&mut conn, conversation, "echo", &[]).await.unwrap();

    let tries = agent_calls::end(&mut conn, &first, "away").await.unwrap();
    agent_calls::put_off(&mut conn, &first, true, 60.0).await.unwrap();
    let waiting = turns::get(&mut conn, first.id).await.unwrap().unwrap();
    let again = agent_calls::count(&mut conn, first.id).await.unwrap();
    // It comes too late: somebody else has gone on.
    agent_calls::put_off(&mut conn, &waiting, true, 60.0).await.unwrap();
    let tries_again = agent_calls::end(&mut conn, &again, "failed").await.unwrap();
    agent_calls::put_off(&mut conn, &again, false, 0.0).await.unwrap();
    let second = agent_calls::count(&mut conn, first.id).await.unwrap();

    assert_eq!((waiting.calls, again.calls, second.calls), (0, 1, 2));
    assert_eq!((tries, tries_again), (1, 2));
    assert!(waiting.ask_again_at > Some(waiting.started_at));
    assert_eq!(again.ask_again_at, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_has_one_running_turn() {
    let tables = Tables::new().await;
    let (_, conversation) = tables.person().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    turns::begin(&mut conn, conversation, "echo", &[]).await.unwrap();

    assert!(turns::begin(&mut conn, conversation, "echo", &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_planned_chunk_begins_to_be_sent() {
    let tables = Tables::new().await;
    let chunk = tables.sending_chunk().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    assert_eq!(send_attempts::begin(&mut conn, chunk, PERSON, 20.0, None).await.unwrap(), None);
    assert!(
        send_attempts::return_to_planned(&mut conn, chunk, 1, Unsent::NotSent, "no connection")
            .await
            .unwrap()
    );
    assert_eq!(send_attempts::begin(&mut conn, chunk, PERSON, 20.0, None).await.unwrap(), Some(2));
    assert!(
        !send_attempts::return_to_planned(&mut conn, chunk, 1, Unsent::NotSent, "an old attempt")
            .await
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sid_for_one_chunk_is_a_double_send() {
    let tables = Tables::new().await;
    let chunk = tables.sending_chunk().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    assert_eq!(send_attempts::store_sid(&mut conn, chunk, 1, "SM1").await.unwrap(), SidOutcome::Stored);
    assert_eq!(send_attempts::store_sid(&mut conn, chunk, 1, "SM1").await.unwrap(), SidOutcome::Already);
    assert_eq!(
        send_attempts::store_sid(&mut conn, chunk, 1, "SM2").await.unwrap(),
        SidOutcome::DoubleSend { first_sid: "SM1".into() }
    );

    let owned =
        send_attempts::owned_sids(&mut conn, &["SM1".into(), "SM2".into(), "SM3".into()]).await.unwrap();
    assert_eq!(owned.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_only_move_a_chunk_forward() {
    let tables = Tables::new().await;
    // Each row: the statuses that come, and where that leads.
    let cases: [(&[&str], &str); 8] = [
        (&["sent", "delivered", "read"], "read"),
        (&["read", "delivered", "sent"], "read"),
        (&["delivered", "failed"], "delivered"),
        (&["sent", "undelivered"], "failed"),
        (&["failed", "sent"], "failed"),
        (&["queued", "sending", "teleported"], "accepted"),
        (&["delivered", "delivered"], "delivered"),
        (&["undelivered", "delivered"], "delivered"),
    ];

    for (number, (statuses, expected)) in cases.into_iter().enumerate() {
        let chunk = tables.sending_chunk().await;
        let mut conn = tables.pg.acquire().await.unwrap();
        send_attempts::store_sid(&mut conn, chunk, 1, &format!("SM{number}")).await.unwrap();
        for status in statuses {
            twilio_statuses::apply(&mut conn, chunk, status, None, None).await.unwrap();
        }
        assert_eq!(tables.state(chunk).await, expected, "{statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_the_middle_cancels_the_rest_of_its_delivery() {
    let tables = Tables::new().await;
    let ids = tables.chunks(3).await;
    let mut conn = tables.pg.acquire().await.unwrap();

    send_attempts::begin(&mut conn, ids[0], PERSON, 20.0, None).await.unwrap();
    send_attempts::store_sid(&mut conn, ids[0], 1, "SM1").await.unwrap();
    send_attempts::begin(&mut conn, ids[1], PERSON, 20.0, None).await.unwrap();
    chunks::end(&mut conn, ids[1], End::Failed, Some(63024), "refused").await.unwrap();
    let delivery = chunks::get(&mut conn, ids[0]).await.unwrap().unwrap().delivery_id;
    deliveries::follow_chunks(&mut conn, delivery).await.unwrap();

    assert_eq!(tables.state(ids[2]).await, "cancelled");
    let (state, reason): (String, String) =
        sqlx::query_as("SELECT state, reason FROM channel_deliveries WHERE id = $1")
            .bind(delivery)
            .fetch_one(&tables.pg)
            .await
            .unwrap();
    assert_eq!((state.as_str(), reason.as_str()), ("failed", "refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_was_over_for_an_hour_is_another_one_when_it_comes_back() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    let mut raised = Vec::new();
    for over_since in ["now()", "now() - interval '59 minutes'", "now() - interval '61 minutes'"] {
        raised.push(alerts::raise(&mut conn, AlertCause::Clock, "wrong", 3600.0, false).await.unwrap());
        raised.push(alerts::raise(&mut conn, AlertCause::Clock, "wrong", 3600.0, false).await.unwrap());
        alerts::close(&mut conn, &[AlertCause::Clock], 600.0).await.unwrap();
        let close = format!("UPDATE channel_alerts SET closed_at = {over_since}, tell_at = {over_since}");
        sqlx::query(sqlx::AssertSqlSafe(close)).execute(&tables.pg).await.unwrap();
    }
    raised.push(alerts::raise(&mut conn, AlertCause::Clock, "wrong", 3600.0, false).await.unwrap());

    let ids: Vec<AlertId> = raised.iter().map(|raised| raised.id).collect();
    let (same, other) = (ids[0], *ids.last().unwrap());
    assert_eq!(ids, [same, same, same, same, same, same, other]);
    assert_ne!(same, other);
    let news: Vec<bool> = raised.iter().map(|raised| raised.is_news).collect();
    assert_eq!(news, [true, false, true, false, true, false, true], "what comes back is told");
}
