//! `channel_people_places`: the people to whom a conversation was opened within 24 hours, of whom WhatsApp allows a portfolio so many. Each has one of so
//! many places, which is free again after 24 hours. Transactions take different places and never wait for each other, so the limit serialises nothing.

use std::collections::HashSet;

use sqlx::PgConnection;

use crate::deliveries::Delivery;
use crate::ids::{AddressId, DeliveryId};
use crate::quiet_deliveries::DueDelivery;

/// Gives places to people, in this order; returns who has one now. Whoever has a place already keeps it for another 24 hours. The caller holds the locks
/// of their addresses, and plans or sends to those who are returned in its transaction.
pub async fn take(
    conn: &mut PgConnection,
    limit: u32,
    people: &[AddressId],
    queue: Queue,
) -> sqlx::Result<HashSet<AddressId>> {
    if people.is_empty() {
        return Ok(HashSet::new());
    }
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let mut granted: HashSet<AddressId> = keep(conn, people).await?.into_iter().collect();
    let left: Vec<AddressId> = people.iter().filter(|id| !granted.contains(id)).copied().collect();
    if left.is_empty() || (queue == Queue::Behind && somebody_waits(conn).await?) {
        return Ok(granted);
    }
    make_places(conn, limit).await?;
    let most = left_beside_those_above(conn, limit).await?.unwrap_or(left.len());
    granted.extend(take_free(conn, limit, &left[..most.min(left.len())]).await?);
    Ok(granted)
}

/// Whether those who wait already go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// They do: whoever is new waits behind them.
    Behind,
    /// It is one of them, or it must leave now.
    Ahead,
}

/// Of these people, those who have a place keep it for another 24 hours.
async fn keep(conn: &mut PgConnection, people: &[AddressId]) -> sqlx::Result<Vec<AddressId>> {
    sqlx::query_scalar(
        "UPDATE channel_people_places SET taken_at = clock_timestamp() WHERE address_id = ANY ($1) AND taken_at > now() - interval '24 hours' RETURNING address_id",
    )
    .bind(people)
    .fetch_all(conn)
    .await
}

/// There are as many places as the limit says.
async fn make_places(conn: &mut PgConnection, limit: i32) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO channel_people_places (place) SELECT place FROM generate_series(1, $1) AS place
         WHERE NOT EXISTS (SELECT FROM channel_people_places WHERE place = $1) ON CONFLICT DO NOTHING",
    )
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(())
}

/// How many places may be given out beside those that are above the limit, since it was lowered within 24 hours. `None`: none is. Whoever asks after the
/// limit was lowered waits for the others who do.
async fn left_beside_those_above(conn: &mut PgConnection, limit: i32) -> sqlx::Result<Option<usize>> {
    let above: Option<i32> = sqlx::query_scalar(
        "SELECT place FROM channel_people_places WHERE place > $1 AND taken_at > now() - interval '24 hours' ORDER BY place DESC LIMIT 1",
    )
    .bind(limit)
    .fetch_optional(&mut *conn)
    .await?;
    if above.is_none() {
        return Ok(None);
    }
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('people per day', 0))")
        .execute(&mut *conn)
        .await?;
    let taken: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT FROM channel_people_places WHERE taken_at > now() - interval '24 hours' ORDER BY taken_at LIMIT $1) AS taken",
    )
    .bind(i64::from(limit))
    .fetch_one(conn)
    .await?;
    Ok(Some(usize::try_from(i64::from(limit) - taken).unwrap_or_default()))
}

/// Places that were free, one for each of these people as long as there are some.
async fn take_free(
    conn: &mut PgConnection,
    limit: i32,
    people: &[AddressId],
) -> sqlx::Result<Vec<AddressId>> {
    sqlx::query_scalar(
        "WITH free AS (
             SELECT p.place FROM channel_people_places p WHERE p.taken_at <= now() - interval '24 hours' AND p.place <= $1
             ORDER BY p.taken_at LIMIT cardinality($2::BIGINT[]) FOR UPDATE SKIP LOCKED
         ), numbered AS (
             SELECT place, row_number() OVER () AS number FROM free
         )
         UPDATE channel_people_places p SET address_id = wish.address_id, taken_at = clock_timestamp()
         FROM numbered JOIN unnest($2::BIGINT[]) WITH ORDINALITY AS wish (address_id, number) ON wish.number = numbered.number
         WHERE p.place = numbered.place RETURNING p.address_id",
    )
    .bind(limit)
    .bind(people)
    .fetch_all(conn)
    .await
}

/// Whether a delivery waits for a place.
pub async fn somebody_waits(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_deliveries WHERE state = 'waiting' AND waits_for_room)",
    )
    .fetch_one(conn)
    .await
}

/// Seconds until a place is free that was taken longest ago; 0: it is.
pub async fn next_free_secs(conn: &mut PgConnection) -> sqlx::Result<f64> {
    let secs: Option<f64> = sqlx::query_scalar(
        "SELECT CASE WHEN taken_at <= now() - interval '24 hours' THEN 0 ELSE extract(epoch FROM taken_at + interval '24 hours' - now()) END::DOUBLE PRECISION
         FROM channel_people_places ORDER BY taken_at LIMIT 1",
    )
    .fetch_optional(conn)
    .await?;
    Ok(secs.unwrap_or_default())
}

/// Deliveries that wait for a place, those that were planned first.
pub async fn waiting(conn: &mut PgConnection, number: i64) -> sqlx::Result<Vec<DueDelivery>> {
    sqlx::query_as(
        "SELECT id, user_id FROM channel_deliveries WHERE state = 'waiting' AND waits_for_room ORDER BY id LIMIT $1",
    )
    .bind(number)
    .fetch_all(conn)
    .await
}

/// A delivery that waits for a place, locked. `None`: it waits no more.
pub async fn lock_waiting(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Option<Delivery>> {
    sqlx::query_as(
        "SELECT id, user_id, address_id, purpose, text, content_sid, content_variables, state, reason, expires_at, waits_for_inbound, waits_until, quiet_rule,
                created_at, (SELECT c.delivery_id FROM channel_chunks c WHERE c.id = resent_from) AS resent_from
         FROM channel_deliveries WHERE id = $1 AND state = 'waiting' AND waits_for_room FOR UPDATE",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}
