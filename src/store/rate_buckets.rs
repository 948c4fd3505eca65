//! `channel_rate_buckets`: token buckets that all processes share.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{AddressId, ConversationId};
use crate::text_enum::text_enum;

/// Whose messages are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Those of a user's phone.
    Writer(AddressId),
    /// Those of a phone that no user has claimed.
    Unlinked(AddressId),
    /// Those that a user writes on a page, in this conversation.
    Page(ConversationId),
    /// Those of all users.
    Total,
    /// Those to a person.
    Recipient(AddressId),
}

text_enum! {
    /// How a bucket's name begins; a colon and the number of the address or conversation follow.
    pub enum BucketPrefix in ["channel_rate_buckets.name"] {
        /// See [`Bucket::Writer`].
        Writer = "writer",
        /// See [`Bucket::Unlinked`].
        Unlinked = "unlinked",
        /// See [`Bucket::Page`].
        Page = "page",
        /// See [`Bucket::Total`]; nothing follows.
        Total = "total",
        /// See [`Bucket::Recipient`].
        Recipient = "to",
    }
}

impl Bucket {
    fn name(self) -> String {
        let (prefix, number) = match self {
            Self::Total => return BucketPrefix::Total.to_string(),
            Self::Writer(address_id) => (BucketPrefix::Writer, address_id.0),
            Self::Unlinked(address_id) => (BucketPrefix::Unlinked, address_id.0),
            Self::Page(conversation_id) => (BucketPrefix::Page, conversation_id.0),
            Self::Recipient(address_id) => (BucketPrefix::Recipient, address_id.0),
        };
        format!("{prefix}:{number}")
    }
}

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// What may come at once.
    pub capacity: f64,
    /// What may come each second in the long run.
    pub per_sec: f64,
}

/// Takes a token for something that arrived at this moment; `None`: now. False: the bucket is empty. A moment after
/// the database's clock counts as now, and a bucket that was filled in the future, by a wrong clock, counts as full.
pub async fn take(
    conn: &mut PgConnection,
    bucket: Bucket,
    rate: Rate,
    at: Option<DateTime<Utc>>,
) -> sqlx::Result<bool> {
    let taken: Option<bool> = sqlx::query_scalar(
        "INSERT INTO channel_rate_buckets AS b (name, tokens, filled_at) VALUES ($1, $2 - 1, least($4, clock_timestamp()))
         ON CONFLICT (name) DO UPDATE SET
             tokens = CASE WHEN b.filled_at > clock_timestamp() + interval '1 second' THEN $2
                           ELSE least($2, b.tokens + greatest(0, extract(epoch FROM EXCLUDED.filled_at - b.filled_at)) * $3) END - 1,
             filled_at = greatest(least(b.filled_at, clock_timestamp()), EXCLUDED.filled_at)
         WHERE b.filled_at > clock_timestamp() + interval '1 second'
            OR least($2, b.tokens + greatest(0, extract(epoch FROM EXCLUDED.filled_at - b.filled_at)) * $3) >= 1
         RETURNING TRUE",
    )
    .bind(bucket.name())
    .bind(rate.capacity)
    .bind(rate.per_sec)
    .bind(at)
    .fetch_optional(conn)
    .await?;
    Ok(taken.is_some())
}

/// In how many seconds there will be a token.
pub async fn wait_secs(conn: &mut PgConnection, bucket: Bucket, rate: Rate) -> sqlx::Result<f64> {
    let missing: Option<f64> = sqlx::query_scalar(
        "SELECT CASE WHEN filled_at > clock_timestamp() + interval '1 second' THEN 0
                     ELSE 1 - least($2, tokens + greatest(0, extract(epoch FROM clock_timestamp() - filled_at)) * $3) END
         FROM channel_rate_buckets WHERE name = $1",
    )
    .bind(bucket.name())
    .bind(rate.capacity)
    .bind(rate.per_sec)
    .fetch_optional(conn)
    .await?;
    Ok(missing.map_or(0.0, |missing| (missing / rate.per_sec).max(0.0)))
}
