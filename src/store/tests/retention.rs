//! What is too old goes page by page, what is needed stays, and nothing comes twice by it.

use std::time::Duration;

use sqlx::Acquire as _;
use store::arrivals::{self, Inserted, NewMessage};
use store::ids::{AddressId, ConversationId};
use store::retention::{RetainedPart, take_page};

use super::Tables;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Everything that a conversation leaves, `$3` of each; every second one of each is ten days old. The person and the conversation are $1 and $2.
const CONVERSATION: [&str; 9] = [
    "INSERT INTO channel_messages (sid, address_id, conversation_id, body, params, accepted_at, received_at)
     SELECT format('SM%s', n), $1, $2, 'secret', '{\"Body\": \"secret\"}', now(), now() - CASE WHEN n <= $3 / 2 THEN interval '10 days' ELSE interval '1 hour' END
     FROM generate_series(1, $3) n",
    "INSERT INTO channel_turns (conversation_id, state, agent, reply, error, finished_at, started_at)
     SELECT $2, 'replied', 'echo', 'secret', 'secret', received_at, received_at FROM channel_messages WHERE address_id = $1 AND $3 > 0 ORDER BY id",
    "UPDATE channel_messages m SET turn_id = t.id, outcome = 'answered', outcome_at = now() FROM channel_turns t
     WHERE t.conversation_id = $2 AND t.id = m.id AND m.address_id = $1 AND $3 > 0",
    "INSERT INTO channel_agent_calls (turn_id, call, error) SELECT id, 1, 'secret' FROM channel_turns WHERE conversation_id = $2 AND $1 > 0 AND $3 > 0",
    "INSERT INTO channel_attachments (message_id, index, content_type, state) SELECT id, 0, 'secret', 'shown' FROM channel_messages
     WHERE address_id = $1 AND conversation_id = $2 AND $3 > 0",
    "INSERT INTO channel_deliveries (id, address_id, turn_id, conversation_id, purpose, text, state, created_at, closed_at, expires_at)
     SELECT ('00000000-0000-7000-8000-' || lpad(id::TEXT, 12, '0'))::UUID, $1, id, $2, 'reply', 'secret', 'delivered', started_at, started_at, now()
     FROM channel_turns WHERE conversation_id = $2 AND $3 > 0",
    "INSERT INTO channel_chunks (delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, state, sid, sent_to)
     SELECT id, 0, 'secret', 0, 6, FALSE, FALSE, 'delivered', format('MM%s', turn_id), 'secret' FROM channel_deliveries
     WHERE address_id = $1 AND conversation_id = $2 AND $3 > 0 ORDER BY id",
    "INSERT INTO channel_send_attempts (chunk_id, attempt, deadline_at, outcome, error_message)
     SELECT c.id, 1, now(), 'accepted', 'secret' FROM channel_chunks c WHERE $1 > 0 AND $2 > 0 AND $3 > 0",
    "INSERT INTO channel_status_callbacks (chunk_id, sid, status, params, received_at)
     SELECT c.id, c.sid, 'sent', '{\"To\": \"secret\"}', d.created_at
     FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id WHERE $1 > 0 AND $2 > 0 AND $3 > 0 ORDER BY c.id",
];

/// Rows of each sort in which something is left to be read.
const LEFT: &str = "SELECT ARRAY[
    (SELECT count(*) FROM channel_messages WHERE concat(body, params) LIKE '%secret%'), (SELECT count(*) FROM channel_attachments),
    (SELECT count(*) FROM channel_turns WHERE concat(reply, error) LIKE '%secret%'), (SELECT count(*) FROM channel_agent_calls),
    (SELECT count(*) FROM channel_deliveries WHERE text = 'secret'), (SELECT count(*) FROM channel_chunks WHERE concat(body, sent_to) LIKE '%secret%'),
    (SELECT count(*) FROM channel_send_attempts), (SELECT count(*) FROM channel_status_callbacks), (SELECT count(*) FROM channel_entries)]";

async fn conversation(tables: &Tables, number: i64) -> (AddressId, ConversationId) {
    let (address, conversation) = tables.person().await;
    for statement in CONVERSATION {
        let statement = sqlx::query(statement).bind(address).bind(conversation).bind(number);
        statement.execute(&tables.pg).await.unwrap();
    }
    let aged = "UPDATE channel_entries SET at = now() - interval '10 days' WHERE number <= $1";
    sqlx::query(aged).bind(number).execute(&tables.pg).await.unwrap();
    (address, conversation)
}

async fn left(tables: &Tables) -> Vec<i64> {
    sqlx::query_scalar(LEFT).fetch_one(&tables.pg).await.unwrap()
}

/// Takes away all that is older than five days; returns how many pages that were.
async fn take_all(tables: &Tables) -> usize {
    let mut conn = tables.pg.acquire().await.unwrap();
    let mut pages = 0;
    for part in RetainedPart::ALL {
        while take_page(&mut conn, part, 5 * DAY).await.unwrap() {
            pages += 1;
        }
    }
    pages
}

#[tokio::test]
async fn what_is_too_old_goes_and_what_is_young_stays_with_its_words() {
    let tables = Tables::new().await;
    let (address_id, _) = conversation(&tables, 1400).await;
    // A message and the reply to it are two entries.
    assert_eq!(left(&tables).await, [1400, 1400, 1400, 1400, 1400, 1400, 1400, 1400, 2800]);

    // A process that dies over a page leaves it to the next one.
    let mut conn = tables.pg.acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    assert!(take_page(&mut tx, RetainedPart::Messages, 5 * DAY).await.unwrap());
    tx.rollback().await.unwrap();
    let pages = take_all(&tables).await;

    assert!(pages > 6, "{pages} pages of 500 rows");
    assert_eq!(left(&tables).await, [700, 700, 700, 700, 700, 700, 700, 700, 1400]);
    // A message whose words are gone is taken in as little as before.
    let params = serde_json::json!({});
    let again = NewMessage { sid: "SM1", address_id, body: "secret", params: &params, written_at: None };
    assert!(matches!(arrivals::insert(&mut conn, again).await.unwrap(), Inserted::Duplicate));
    let states = "SELECT count(*) FROM channel_chunks WHERE state = 'delivered' AND sid IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(states).fetch_one(&tables.pg).await.unwrap(), 1400);

    assert_eq!(take_all(&tables).await, 0, "nothing is looked at twice");
}

#[tokio::test]
async fn what_has_not_ended_keeps_its_words_whatever_its_age() {
    let tables = Tables::new().await;
    conversation(&tables, 8).await;
    for statement in [
        "UPDATE channel_messages SET outcome = NULL, outcome_at = NULL, turn_id = NULL WHERE id = 1",
        "UPDATE channel_turns SET state = 'running', reply = NULL, finished_at = NULL WHERE id = 2",
        "UPDATE channel_chunks SET state = 'sending', deadline_at = now() WHERE id = 3",
        "UPDATE channel_deliveries SET state = 'open', closed_at = NULL WHERE turn_id IN (3, 4)",
    ] {
        sqlx::query(statement).execute(&tables.pg).await.unwrap();
    }

    take_all(&tables).await;

    // Of the four old ones of each sort, one message, one turn and two deliveries stay.
    assert_eq!(left(&tables).await, [5, 5, 5, 5, 6, 6, 6, 4, 8]);
}

#[tokio::test]
async fn a_slot_forgets_its_users_once_it_has_ended_long_ago() {
    let tables = Tables::new().await;
    for statement in [
        "INSERT INTO channel_schedules (name, hash, definition) VALUES ('news', '', '{}')",
        "INSERT INTO channel_slots (schedule, moment, definition, state, fired_at, finished_at) VALUES
             ('news', now() - interval '9 days', '{}', 'done', now() - interval '9 days', now() - interval '9 days'),
             ('news', now() - interval '8 days', '{}', 'open', now() - interval '8 days', NULL),
             ('news', now() - interval '7 days', '{}', 'done', now() - interval '7 days', now() - interval '7 days'),
             ('news', now() - interval '1 hour', '{}', 'done', now() - interval '1 hour', now() - interval '1 hour')",
        "INSERT INTO channel_slot_users (slot_id, user_id, outcome) SELECT s.id, n::TEXT, 'empty' FROM channel_slots s, generate_series(1, 700) n",
        "INSERT INTO channel_rate_buckets (name, tokens, filled_at) SELECT format('writer:%s', n), 1, now() - make_interval(days => n % 10) FROM generate_series(1, 1000) n",
    ] {
        sqlx::query(statement).execute(&tables.pg).await.unwrap();
    }

    take_all(&tables).await;

    let users = "SELECT array_agg(DISTINCT slot_id::BIGINT) FROM channel_slot_users";
    let slots: Vec<i64> = sqlx::query_scalar(users).fetch_one(&tables.pg).await.unwrap();
    assert_eq!(slots, [2, 4]);
    let buckets: i64 =
        sqlx::query_scalar("SELECT count(*) FROM channel_rate_buckets").fetch_one(&tables.pg).await.unwrap();
    assert_eq!(buckets, 500, "drawn from within five days");
}
