//! Parts whose age is not in the order of their keys. Once a day all of their rows are looked at, in the order of the keys.

use sqlx::PgConnection;

use super::{Cursor, PAGE, Page};

/// The oldest entries of each of the next conversations.
const ENTRIES: &str = "WITH page AS (
         SELECT id FROM channel_conversations WHERE id > $1 ORDER BY id LIMIT 20
     ), old AS (
         SELECT e.conversation_id, e.number
         FROM page p
             CROSS JOIN LATERAL (SELECT min(number) AS number FROM channel_entries WHERE conversation_id = p.id) AS first
             CROSS JOIN LATERAL (
                 SELECT conversation_id, number, at FROM channel_entries WHERE conversation_id = p.id AND number < first.number + 50) AS e
         WHERE e.at < now() - make_interval(secs => $2)
     ), gone AS (
         DELETE FROM channel_entries e USING old WHERE e.conversation_id = old.conversation_id AND e.number = old.number
     )
     SELECT (SELECT max(id) FROM page), EXISTS (SELECT FROM old GROUP BY conversation_id HAVING count(*) = 50)";

pub(super) async fn entries(conn: &mut PgConnection, cursor: Cursor, age: f64) -> sqlx::Result<Page> {
    let (last, may_have_more): (Option<i64>, bool) =
        sqlx::query_as(ENTRIES).bind(cursor.next_id).bind(age).fetch_one(conn).await?;
    let next_id = match last {
        // The same conversations once more.
        Some(_) if may_have_more => cursor.next_id,
        Some(last) => last,
        None => 0,
    };
    Ok(Page { cursor: Cursor { next_id, ..cursor }, has_next: last.is_some() })
}

const RATE_BUCKETS: &str = "WITH page AS (
         SELECT name, filled_at FROM channel_rate_buckets WHERE name > $1 ORDER BY name LIMIT 500
     ), gone AS (
         DELETE FROM channel_rate_buckets b
         WHERE b.name = ANY (ARRAY(SELECT name FROM page WHERE filled_at < now() - make_interval(secs => $2)))
           AND b.filled_at < now() - make_interval(secs => $2)
     )
     SELECT (SELECT max(name) FROM page), (SELECT count(*) FROM page)";

/// Buckets that nobody has drawn from for so long are full, as one that is not there.
pub(super) async fn rate_buckets(conn: &mut PgConnection, cursor: Cursor, age: f64) -> sqlx::Result<Page> {
    let (last, number): (Option<String>, i64) =
        sqlx::query_as(RATE_BUCKETS).bind(&cursor.next_name).bind(age).fetch_one(conn).await?;
    let has_next = number == PAGE;
    let next_name = last.filter(|_| has_next).unwrap_or_default();
    Ok(Page { cursor: Cursor { next_name, ..cursor }, has_next })
}

/// Whoever writes again is somebody new. A person who has or had a user keeps the name, as do those whose number came with another opaque id: an operator
/// may still decide about them. The lock is the one under which everything about a person is decided; a locked person is left for the next day.
const STRANGERS: &str = "WITH page AS (
         SELECT id FROM channel_addresses WHERE id > $1 ORDER BY id LIMIT 500
     ), strangers AS (
         SELECT a.id FROM channel_addresses a
         WHERE a.id = ANY (ARRAY(SELECT id FROM page)) AND coalesce(a.last_inbound_at, a.created_at) < now() - make_interval(secs => $2)
           AND NOT EXISTS (SELECT FROM channel_links l WHERE l.address_id = a.id)
           AND NOT EXISTS (SELECT FROM channel_changed_ids c WHERE c.newcomer_id = a.id)
           AND NOT EXISTS (SELECT FROM channel_deliveries d WHERE d.address_id = a.id AND d.state = 'open')
           AND EXISTS (SELECT FROM channel_address_aliases n WHERE n.address_id = a.id)
         ORDER BY a.id FOR NO KEY UPDATE OF a SKIP LOCKED
     ), hints AS (
         DELETE FROM channel_notices WHERE address_id = ANY (ARRAY(SELECT id FROM strangers))
     ), names AS (
         DELETE FROM channel_address_aliases WHERE address_id = ANY (ARRAY(SELECT id FROM strangers))
     )
     SELECT (SELECT max(id) FROM page), (SELECT count(*) FROM page)";

pub(super) async fn strangers(conn: &mut PgConnection, cursor: Cursor, age: f64) -> sqlx::Result<Page> {
    let (last, number): (Option<i64>, i64) =
        sqlx::query_as(STRANGERS).bind(cursor.next_id).bind(age).fetch_one(conn).await?;
    let has_next = number == PAGE;
    let next_id = last.filter(|_| has_next).unwrap_or_default();
    Ok(Page { cursor: Cursor { next_id, ..cursor }, has_next })
}
