//! `channel_addresses` and their aliases: one row per WhatsApp person, however that person is named.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// One WhatsApp person.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Address {
    /// Its number.
    pub id: i64,
    /// When this person last wrote.
    pub last_inbound_at: Option<DateTime<Utc>>,
}

/// The address that has one of these aliases, made if there is none, and locked until the caller's transaction ends. Aliases that
/// come together belong to one person, so unseen ones are added to it. Where they already belong to two, the first one's address is
/// taken; the two stay apart until they are merged.
///
/// # Errors
/// Database errors. `aliases` must not be empty.
pub async fn find_or_create(conn: &mut PgConnection, aliases: &[&str]) -> sqlx::Result<Address> {
    // Two first webhooks of one person must not make two addresses; without a row there is nothing else to lock.
    // The keys are locked in one order, so that two webhooks with the same aliases cannot wait for each other.
    sqlx::query(
        "SELECT pg_advisory_xact_lock(key) FROM (SELECT DISTINCT hashtextextended('address ' || a, 0) AS key FROM unnest($1::TEXT[]) a ORDER BY key) k",
    )
    .bind(aliases)
    .execute(&mut *conn)
    .await?;
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT a.address_id FROM unnest($1::TEXT[]) WITH ORDINALITY AS given (alias, place)
         JOIN channel_address_aliases a USING (alias) ORDER BY given.place LIMIT 1",
    )
    .bind(aliases)
    .fetch_optional(&mut *conn)
    .await?;
    let id = match known {
        // Before anything refers to the row: whoever refers to it first and locks it then can meet another who does the same.
        Some(id) => lock(&mut *conn, id).await?.id,
        None => {
            sqlx::query_scalar("INSERT INTO channel_addresses DEFAULT VALUES RETURNING id")
                .fetch_one(&mut *conn)
                .await?
        }
    };
    // An alias may be given twice: where a number is hidden, Twilio fills both of its fields with the same id.
    sqlx::query(
        "WITH arrival AS MATERIALIZED (SELECT clock_timestamp() AS at)
         INSERT INTO channel_address_aliases (alias, address_id, last_seen_at)
         SELECT alias, $2, arrival.at - min(place) * interval '1 microsecond'
         FROM arrival, unnest($1::TEXT[]) WITH ORDINALITY AS given (alias, place)
         GROUP BY alias, arrival.at
         ON CONFLICT (alias) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at",
    )
    .bind(aliases)
    .bind(id)
    .execute(&mut *conn)
    .await?;
    sqlx::query_as("UPDATE channel_addresses SET last_inbound_at = clock_timestamp() WHERE id = $1 RETURNING id, last_inbound_at")
        .bind(id)
        .fetch_one(conn)
        .await
}

/// Locks an address until the caller's transaction ends. Whatever is decided about a person is decided under this lock. It is the
/// weaker lock of the two that exclude each other, so that a row that refers to the address never waits for it.
pub async fn lock(conn: &mut PgConnection, id: i64) -> sqlx::Result<Address> {
    sqlx::query_as("SELECT id, last_inbound_at FROM channel_addresses WHERE id = $1 FOR NO KEY UPDATE")
        .bind(id)
        .fetch_one(conn)
        .await
}

/// Locks the address of a conversation, as [`lock`] does.
pub async fn lock_of_conversation(conn: &mut PgConnection, conversation_id: i64) -> sqlx::Result<()> {
    sqlx::query("SELECT FROM channel_addresses WHERE id = (SELECT address_id FROM channel_conversations WHERE id = $1) FOR NO KEY UPDATE")
        .bind(conversation_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Where to write to this person: the alias last written from.
pub async fn send_to(conn: &mut PgConnection, id: i64) -> sqlx::Result<String> {
    sqlx::query_scalar(
        "SELECT alias FROM channel_address_aliases WHERE address_id = $1 ORDER BY last_seen_at DESC LIMIT 1",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}
