//! Erasing somebody who has said much: at once, page by page, and to the end whatever happens in between.

use sqlx::Acquire as _;
use store::{erasure, links, users};

use super::identity::keys;
use super::{PERSON, Tables, find, user_id, user_of};

/// A conversation with replies of so many words each way, and callbacks; the last chunk may have reached Twilio.
const LONG_THREAD: &str = "
    INSERT INTO channel_messages (sid, address_id, conversation_id, body, params, accepted_at)
    SELECT format('SM%s', n), $1, $2, 'secret', '{\"Body\": \"secret\"}', now() FROM generate_series(1, $3) n";

const REPLIES: [&str; 6] = [
    "INSERT INTO channel_turns (conversation_id, state, agent, reply, finished_at) SELECT $2, 'replied', 'echo', 'secret', now() FROM generate_series(1, $3) n WHERE $1 > 0",
    "UPDATE channel_messages m SET turn_id = t.id, outcome = 'answered', outcome_at = now() FROM channel_turns t
     WHERE t.conversation_id = $2 AND t.id = m.id AND m.address_id = $1 AND $3 > 0",
    "INSERT INTO channel_attachments (message_id, index, content_type, state) SELECT id, 0, 'image/png', 'shown' FROM channel_messages
     WHERE address_id = $1 AND conversation_id = $2 AND $3 > 0",
    "INSERT INTO channel_deliveries (id, address_id, user_id, conversation_id, purpose, text, expires_at)
     SELECT gen_random_uuid(), $1, format('user of %s', $1), $2, 'reply', 'secret', now() FROM generate_series(1, $3) n",
    "INSERT INTO channel_chunks (delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, state, sid, sent_to, deadline_at)
     SELECT id, 0, 'secret', 0, 6, FALSE, FALSE, CASE WHEN place = 1 THEN 'sending' ELSE 'delivered' END, CASE WHEN place > 1 THEN id::TEXT END, 'secret', now()
     FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM channel_deliveries WHERE address_id = $1 AND conversation_id = $2 AND $3 > 0) d",
    "INSERT INTO channel_status_callbacks (chunk_id, sid, status, params) SELECT c.id, c.id::TEXT, 'sent', '{\"To\": \"secret\"}'
     FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id WHERE d.address_id = $1 AND d.conversation_id = $2 AND $3 > 0",
];

const LEFT: &str = "SELECT (SELECT count(*) FROM channel_messages WHERE concat(body, params) LIKE '%secret%') + (SELECT count(*) FROM channel_turns WHERE reply = 'secret')
    + (SELECT count(*) FROM channel_deliveries WHERE text = 'secret') + (SELECT count(*) FROM channel_chunks WHERE concat(body, sent_to) LIKE '%secret%')
    + (SELECT count(*) FROM channel_status_callbacks WHERE params::TEXT LIKE '%secret%') + (SELECT count(*) FROM channel_attachments)";

#[tokio::test]
async fn a_long_thread_is_emptied_page_by_page_and_what_is_in_doubt_once_it_is_settled() {
    let tables = Tables::new().await;
    let (address, conversation) = tables.person().await;
    let user = user_of(address);
    let mut conn = tables.pg.acquire().await.unwrap();
    for statement in [LONG_THREAD].into_iter().chain(REPLIES) {
        let statement = sqlx::query(statement).bind(address).bind(conversation).bind(1200_i64);
        statement.execute(&mut *conn).await.unwrap();
    }
    let left = async || sqlx::query_scalar::<_, i64>(LEFT).fetch_one(&tables.pg).await.unwrap();
    assert_eq!(left().await, 1200 * 6);

    assert!(erasure::begin(&mut conn, &keys(), &user).await.unwrap());

    // Nobody knows the person any more, and somebody else may be known under the same id.
    assert!(users::get(&mut conn, &user).await.unwrap().is_none());
    assert!(links::of_address(&mut conn, address).await.unwrap().is_none());
    users::create_or_lock(&mut conn, &user, "pro").await.unwrap();
    let again = find(&mut conn, &[PERSON]).await.unwrap().address;
    assert_ne!(again.id, address);

    // A process that dies over a page leaves it to the next one.
    let before = left().await;
    let mut tx = conn.begin().await.unwrap();
    assert!(erasure::empty_page(&mut tx, None).await.unwrap());
    tx.rollback().await.unwrap();
    assert_eq!(left().await, before);
    let mut pages = 0;
    while erasure::empty_page(&mut conn, None).await.unwrap() {
        pages += 1;
    }
    assert!(pages > 10, "{pages} pages of 500 rows");
    // The chunk and its callback.
    assert_eq!(left().await, 2);
    assert!(!erasure::is_due(&mut conn, Some(&user)).await.unwrap());

    sqlx::query("UPDATE channel_chunks SET state = 'unknown' WHERE state = 'sending'")
        .execute(&mut *conn)
        .await
        .unwrap();
    sqlx::query("UPDATE channel_erasures SET due_at = now()").execute(&mut *conn).await.unwrap();
    while erasure::empty_page(&mut conn, None).await.unwrap() {}

    assert_eq!(left().await, 0);
    let open: i64 =
        sqlx::query_scalar("SELECT count(*) FROM channel_erasures").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(open, 0, "nothing tells any more who was erased");
}

#[tokio::test]
async fn what_is_said_to_a_later_user_of_the_same_id_stays() {
    let tables = Tables::new().await;
    let (address, _) = tables.person().await;
    let user = user_of(address);
    let mut conn = tables.pg.acquire().await.unwrap();
    assert!(erasure::begin(&mut conn, &keys(), &user).await.unwrap());
    let new = "INSERT INTO channel_deliveries (id, user_id, purpose, text, state, reason, closed_at, expires_at)
               VALUES ('00000000-0000-7000-8000-000000000001', $1, 'notification', 'news', 'blocked', 'not_linked', now(), now())";
    sqlx::query(new).bind(&user).execute(&mut *conn).await.unwrap();
    // Statements in one transaction have one `now()`; a later one has not.
    sqlx::query("UPDATE channel_deliveries SET created_at = clock_timestamp()")
        .execute(&mut *conn)
        .await
        .unwrap();

    while erasure::empty_page(&mut conn, None).await.unwrap() {}

    let text: String =
        sqlx::query_scalar("SELECT text FROM channel_deliveries").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(text, "news");
}

#[tokio::test]
async fn a_user_who_is_made_while_being_erased_is_new() {
    let tables = Tables::new().await;
    let mut erasing = tables.pg.begin().await.unwrap();
    users::create_or_lock(&mut erasing, &user_id("alice"), "pro").await.unwrap();
    erasing.commit().await.unwrap();
    let mut erasing = tables.pg.begin().await.unwrap();
    users::lock(&mut erasing, &user_id("alice")).await.unwrap().unwrap();

    let pg = tables.pg.clone();
    let making = tokio::spawn(async move {
        users::create_or_lock(&mut *pg.acquire().await?, &user_id("alice"), "free").await
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&tables.pg).await.unwrap() == 0 {
        assert!(!making.is_finished());
        tokio::task::yield_now().await;
    }
    assert!(erasure::begin(&mut erasing, &keys(), &user_id("alice")).await.unwrap());
    erasing.commit().await.unwrap();

    let (user, new) = making.await.unwrap().unwrap();
    assert_eq!((user.plan.as_str(), new), ("free", true));
}
