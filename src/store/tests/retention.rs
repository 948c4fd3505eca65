//! What is too old goes page by page, what is needed stays, and nothing comes twice by it.

use std::time::Duration;

use sqlx::Acquire as _;
use store::allowances;
use store::arrivals::{self, Inserted, NewMessage};
use store::ids::{AddressId, ConversationId};
use store::retention::{RetainedPart, take_page};

use super::{PERSON, Tables, find};

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

/// Movements of allowances, of 7 users in 3 periods; half of them are ten days old. `whatsapp_sends` is what they come to.
const MOVEMENTS: [&str; 3] = [
    "INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event, was, at)
     SELECT format('user-%s', n % 7), date_trunc('month', now()) - n % 3 * interval '1 month', n, m.event, m.was,
            now() - CASE WHEN n <= 600 THEN interval '10 days' ELSE interval '1 hour' END
     FROM generate_series(1, 1200) n CROSS JOIN LATERAL (VALUES
         (1, 'reserved', NULL), (2, CASE WHEN n % 5 = 0 THEN 'released' ELSE 'used' END, 'reserved'), (3, 'credited', 'used'), (4, 'withdrawn', 'credited')
     ) AS m (step, event, was)
     WHERE m.step <= 1 + n % 4 AND (n % 5 > 0 OR m.step <= 2) ORDER BY n, m.step",
    "INSERT INTO whatsapp_sends (user_id, period_start, period_end, used, reserved, credited)
     SELECT user_id, period_start, period_start + interval '1 month', count(*) FILTER (WHERE event = 'used'),
            count(*) FILTER (WHERE event = 'reserved') - count(*) FILTER (WHERE was = 'reserved'),
            count(*) FILTER (WHERE event = 'credited') - count(*) FILTER (WHERE event = 'withdrawn')
     FROM whatsapp_send_ledger GROUP BY user_id, period_start",
    "ANALYZE whatsapp_sends",
];

/// How many movements of each sort there were, whether they are told one by one or not.
const TOTALS: &str = "SELECT format('%s %s %s %s: %s', user_id, period_start, event, was, sum(number))
    FROM (SELECT user_id, period_start, event, was, 1 AS number FROM whatsapp_send_ledger
          UNION ALL SELECT user_id, period_start, event, was, number FROM whatsapp_send_sums) AS m
    GROUP BY user_id, period_start, event, was ORDER BY 1";

#[tokio::test]
async fn old_movements_of_allowances_become_sums_and_every_total_stays_equal() {
    let tables = Tables::new().await;
    for statement in MOVEMENTS {
        sqlx::query(statement).execute(&tables.pg).await.unwrap();
    }
    let mut conn = tables.pg.acquire().await.unwrap();
    let totals = async || -> Vec<String> { sqlx::query_scalar(TOTALS).fetch_all(&tables.pg).await.unwrap() };
    let count =
        async |table: &'static str| -> i64 { sqlx::query_scalar(table).fetch_one(&tables.pg).await.unwrap() };
    let before = totals().await;
    let young = count("SELECT count(*) FROM whatsapp_send_ledger WHERE at > now() - interval '5 days'").await;
    let checked = allowances::audit(&mut conn, 1000).await.unwrap();
    assert_eq!((checked.recomputed, checked.drift.as_slice()), (21, &[][..]), "the rows are made well");

    // A process that dies over a page leaves it to the next one.
    let mut tx = conn.begin().await.unwrap();
    assert!(take_page(&mut tx, RetainedPart::Ledger, 5 * DAY).await.unwrap());
    tx.rollback().await.unwrap();
    take_all(&tables).await;

    assert_eq!(totals().await, before);
    assert_eq!(count("SELECT count(*) FROM whatsapp_send_ledger").await, young);
    let sums = count("SELECT count(*) FROM whatsapp_send_sums").await;
    assert!(sums > 50 && sums <= 21 * 5, "one row for each user, period and sort of movement: {sums}");
    assert_eq!(allowances::audit(&mut conn, 1000).await.unwrap(), checked);
    assert_eq!(take_all(&tables).await, 0, "nothing is summed up twice");

    // The rest grows old, too, and goes into the same rows.
    sqlx::query("UPDATE whatsapp_send_ledger SET at = at - interval '10 days'")
        .execute(&mut *conn)
        .await
        .unwrap();
    take_all(&tables).await;

    assert_eq!((totals().await, count("SELECT count(*) FROM whatsapp_send_ledger").await), (before, 0));
    assert_eq!(allowances::audit(&mut conn, 1000).await.unwrap(), checked);
    // What is not what the sums say is still found.
    sqlx::query("UPDATE whatsapp_sends SET used = used + 1 WHERE user_id = 'user-3'")
        .execute(&mut *conn)
        .await
        .unwrap();
    let drift = allowances::audit(&mut conn, 1000).await.unwrap().drift;
    assert_eq!(drift.len(), 3, "{drift:?}");
}

#[tokio::test]
async fn who_never_had_a_user_is_forgotten_by_name_long_after_the_last_message_and_nobody_else_is() {
    let tables = Tables::new().await;
    let (linked, _) = tables.person().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let mut people = vec![linked];
    for name in ["old", "young", "unlinked", "contested", "written to", "locked"] {
        people.push(find(&mut conn, &[name]).await.unwrap().address.id);
    }
    let [_, old, young, unlinked, contested, written_to, locked] = people[..] else { panic!("seven") };
    sqlx::query("INSERT INTO channel_notices (address_id, about, told_at) SELECT id, 'linking', now() FROM channel_addresses")
        .execute(&mut *conn)
        .await
        .unwrap();
    for (statement, id) in [
        ("UPDATE channel_addresses SET last_inbound_at = now() - interval '10 days' WHERE id <> $1", young),
        ("INSERT INTO channel_links (address_id, ended_at) VALUES ($1, now())", unlinked),
        (
            "INSERT INTO channel_changed_ids (link_id, newcomer_id, state) SELECT min(id), $1, 'held' FROM channel_links",
            contested,
        ),
        (
            "INSERT INTO channel_deliveries (id, address_id, purpose, text, expires_at) VALUES (gen_random_uuid(), $1, 'notice', 'hi', now() + interval '1 hour')",
            written_to,
        ),
    ] {
        sqlx::query(statement).bind(id).execute(&mut *conn).await.unwrap();
    }
    let names = async || -> Vec<String> {
        let names = "SELECT alias FROM channel_address_aliases ORDER BY address_id";
        sqlx::query_scalar(names).fetch_all(&tables.pg).await.unwrap()
    };
    // A message of this person is just being taken in.
    let mut tx = tables.pg.begin().await.unwrap();
    store::addresses::lock(&mut tx, locked).await.unwrap();

    take_all(&tables).await;
    assert_eq!(names().await, [PERSON, "young", "unlinked", "contested", "written to", "locked"]);
    tx.rollback().await.unwrap();
    take_all(&tables).await;
    assert_eq!(names().await.len(), 6, "all were looked at within a day");
    sqlx::query("UPDATE channel_retention SET walked_at = walked_at - interval '25 hours'")
        .execute(&mut *conn)
        .await
        .unwrap();
    take_all(&tables).await;

    assert_eq!(names().await, [PERSON, "young", "unlinked", "contested", "written to"]);
    let hints: i64 =
        sqlx::query_scalar("SELECT count(*) FROM channel_notices").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(hints, 5);
    let again = find(&mut conn, &["old"]).await.unwrap().address.id;
    assert!(!people.contains(&again), "whoever writes again is somebody new, not {old}");
}

#[tokio::test]
async fn what_is_walked_once_a_day_is_walked_again_a_day_after_the_walk_ended() {
    let tables = Tables::new().await;
    let buckets = "INSERT INTO channel_rate_buckets (name, tokens, filled_at) VALUES ('writer:1', 1, now() - interval '10 days')";
    let left = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM channel_rate_buckets").fetch_one(&tables.pg).await.unwrap()
    };
    take_all(&tables).await;
    sqlx::query(buckets).execute(&tables.pg).await.unwrap();

    // The upkeep comes by every minute.
    for _ in 0..24 {
        take_all(&tables).await;
        assert_eq!(left().await, 1);
        let an_hour_later = "UPDATE channel_retention SET walked_at = walked_at - interval '1 hour'";
        sqlx::query(an_hour_later).execute(&tables.pg).await.unwrap();
    }
    take_all(&tables).await;

    assert_eq!(left().await, 0);
}
