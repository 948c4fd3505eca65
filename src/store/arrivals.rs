//! Takes people's messages into `channel_messages`, each once: one alone, or several that arrive beside each other.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::addresses::Name;
use crate::ids::{AddressId, MessageId, UserId};

/// A message as it comes from a verified webhook.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// Twilio's id.
    pub sid: &'a str,
    /// Who wrote it.
    pub address_id: AddressId,
    /// Its text; empty for media and locations.
    pub body: &'a str,
    /// Every parameter that Twilio sent.
    pub params: &'a serde_json::Value,
    /// When Twilio got it; `None`: just now, by its webhook.
    pub written_at: Option<DateTime<Utc>>,
}

/// Whether a message was new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored now.
    New {
        /// Its number.
        id: MessageId,
        /// When the person wrote it, as far as Twilio tells.
        written_at: DateTime<Utc>,
        /// The writer as a user who has deliveries that wait for such a message.
        waiting_user: Option<UserId>,
    },
    /// It was taken in before; nothing changed.
    Duplicate,
}

/// Stores a message unless it is known.
pub async fn insert(conn: &mut PgConnection, message: NewMessage<'_>) -> sqlx::Result<Inserted> {
    let new: Option<(MessageId, DateTime<Utc>, Option<UserId>)> = sqlx::query_as(
        "WITH new AS (
             INSERT INTO channel_messages (sid, address_id, body, params, written_at, backfilled)
             VALUES ($1, $2, $3, $4, coalesce($5, clock_timestamp()), $5 IS NOT NULL)
             ON CONFLICT (sid) DO NOTHING RETURNING id, written_at)
         SELECT new.id, new.written_at,
                (SELECT l.user_id FROM channel_links l
                 WHERE l.address_id = $2 AND l.ended_at IS NULL
                   AND EXISTS (SELECT FROM channel_deliveries d WHERE d.user_id = l.user_id AND d.state = 'waiting' AND (d.waits_for_inbound OR d.waits_for_room)))
         FROM new",
    )
    .bind(message.sid)
    .bind(message.address_id)
    .bind(message.body)
    .bind(message.params)
    .bind(message.written_at)
    .fetch_optional(conn)
    .await?;
    Ok(new.map_or(Inserted::Duplicate, |(id, written_at, waiting_user)| Inserted::New {
        id,
        written_at,
        waiting_user,
    }))
}

/// A message that has arrived beside others, with its writer's names.
#[derive(Debug)]
pub struct Arrived<'a> {
    /// Who wrote it.
    pub names: &'a [Name],
    /// Twilio's id.
    pub sid: &'a str,
    /// Its text.
    pub body: &'a str,
    /// Every parameter that Twilio sent.
    pub params: &'a serde_json::Value,
}

/// What became of a message that arrived beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredArrival {
    /// Which one, counted from 0.
    pub place: usize,
    /// Who wrote it; locked until the caller's transaction ends.
    pub address_id: AddressId,
    /// Whether it was new.
    pub inserted: Inserted,
}

/// Stores several messages in the order given; no SID may be there twice. Messages of new people, of people whose
/// names lead to several rows and of locked people are left out of the answer, and the caller takes them in one by
/// one. So no message waits for another person's lock.
pub async fn insert_together(
    conn: &mut PgConnection,
    arrived: &[Arrived<'_>],
) -> sqlx::Result<Vec<StoredArrival>> {
    let (mut places, mut aliases, mut canonical) = (vec![], vec![], vec![]);
    for (place, message) in (1..).zip(arrived) {
        for name in message.names {
            places.push(place);
            aliases.push(name.alias.as_str());
            canonical.push(name.canonical.as_str());
        }
    }
    let sids: Vec<&str> = arrived.iter().map(|message| message.sid).collect();
    let bodies: Vec<&str> = arrived.iter().map(|message| message.body).collect();
    let params: Vec<&serde_json::Value> = arrived.iter().map(|message| message.params).collect();
    type Row = (i32, AddressId, Option<MessageId>, Option<DateTime<Utc>>, Option<UserId>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT place, address_id, message_id, written_at, waiting_user FROM channel_take_in($1, $2, $3, $4, $5, $6)",
    )
    .bind(places)
    .bind(aliases)
    .bind(canonical)
    .bind(sids)
    .bind(bodies)
    .bind(params)
    .fetch_all(conn)
    .await?;
    let taken = rows.into_iter().map(|(place, address_id, id, written_at, waiting_user)| StoredArrival {
        place: usize::try_from(place - 1).unwrap_or_default(),
        address_id,
        inserted: match (id, written_at) {
            (Some(id), Some(written_at)) => Inserted::New { id, written_at, waiting_user },
            _ => Inserted::Duplicate,
        },
    });
    Ok(taken.collect())
}

/// A message from a phone, as it came.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Arrival {
    /// Its text.
    pub body: String,
    /// Everything that Twilio sent.
    pub params: serde_json::Value,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// When it was accepted for the agent, or ended; `None`: neither has been decided.
    pub decided_at: Option<DateTime<Utc>>,
}

/// What came from a phone since this message, that one included, in order.
pub async fn arrived_since(
    conn: &mut PgConnection,
    address_id: AddressId,
    first: MessageId,
) -> sqlx::Result<Vec<Arrival>> {
    sqlx::query_as(
        "SELECT body, params, received_at, coalesce(accepted_at, outcome_at) AS decided_at FROM channel_messages
         WHERE address_id = $1 AND id >= $2 ORDER BY address_id, id",
    )
    .bind(address_id)
    .bind(first)
    .fetch_all(conn)
    .await
}
