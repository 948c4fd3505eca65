//! How many of the messages that people were sent of late came to nothing.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Callbacks that are looked at. Where more have come, the look goes back to the first of these.
const AT_MOST: i64 = 20_000;

/// Messages whose end, or whose present state, was learned since a moment.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Recent {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Messages that failed.
    pub failed: i64,
    /// Messages that arrived, or are on their way.
    pub well: i64,
}

impl Recent {
    /// The share that failed, of a hundred.
    #[must_use]
    pub fn percent(&self) -> i64 {
        self.failed * 100 / (self.failed + self.well).max(1)
    }
}

/// How many messages failed within these seconds; no callback is read for that.
pub async fn failed(conn: &mut PgConnection, within_secs: f64) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT FROM channel_chunks WHERE state = 'failed' AND updated_at > now() - make_interval(secs => $1) LIMIT 1000) AS lost",
    )
    .bind(within_secs)
    .fetch_one(conn)
    .await
}

/// What became of the messages of the last seconds. Those that arrived are counted by their callbacks, those on their way by their state.
pub async fn recent(conn: &mut PgConnection, within_secs: f64) -> sqlx::Result<Recent> {
    sqlx::query_as(
        "WITH newest AS (
             SELECT chunk_id, status, received_at FROM channel_status_callbacks ORDER BY id DESC LIMIT $2
         ), span AS (
             SELECT greatest(now() - make_interval(secs => $1), CASE WHEN count(*) = $2 THEN min(received_at) END) AS since FROM newest
         )
         SELECT span.since,
                (SELECT count(*) FROM (SELECT FROM channel_chunks c WHERE c.state = 'failed' AND c.updated_at > span.since
                                         AND NOT EXISTS (SELECT FROM channel_deliveries s WHERE s.resent_from = c.id) LIMIT 20000) AS lost) AS failed,
                (SELECT count(DISTINCT n.chunk_id) FROM newest n WHERE n.received_at > span.since AND n.status IN ('delivered', 'read'))
                + (SELECT count(*) FROM (SELECT FROM channel_chunks c WHERE c.state IN ('accepted', 'sent') AND c.sid IS NOT NULL AND c.status_look_ups = 0
                                           AND c.accepted_at > span.since LIMIT 20000) AS way) AS well
         FROM span",
    )
    .bind(within_secs)
    .bind(AT_MOST)
    .fetch_one(conn)
    .await
}

/// Messages that failed since a moment and were not sent anew.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Losses {
    /// How many, of the first 1,000.
    pub messages: i64,
    /// How many people they were for.
    pub people: i64,
    /// When the first one failed; `None`: none has.
    pub first: Option<DateTime<Utc>>,
    /// When the last one did, of all.
    pub last: Option<DateTime<Utc>>,
}

/// What failed since a moment and was not sent anew: from when to when, and for how many people.
pub async fn losses(conn: &mut PgConnection, since: DateTime<Utc>) -> sqlx::Result<Losses> {
    sqlx::query_as(
        "WITH lost AS (
             SELECT c.updated_at, c.delivery_id FROM channel_chunks c
             WHERE c.state = 'failed' AND c.updated_at > $1 AND NOT EXISTS (SELECT FROM channel_deliveries s WHERE s.resent_from = c.id)
             ORDER BY c.updated_at LIMIT 1000)
         SELECT count(*) AS messages, min(lost.updated_at) AS first,
                (SELECT count(DISTINCT d.address_id) FROM channel_deliveries d WHERE d.id = ANY (ARRAY(SELECT delivery_id FROM lost))) AS people,
                (SELECT c.updated_at FROM channel_chunks c
                 WHERE c.state = 'failed' AND c.updated_at > $1 AND NOT EXISTS (SELECT FROM channel_deliveries s WHERE s.resent_from = c.id)
                 ORDER BY c.updated_at DESC LIMIT 1) AS last
         FROM lost",
    )
    .bind(since)
    .fetch_one(conn)
    .await
}

/// The commonest errors of the messages that failed since a moment and were not sent anew: Twilio's code, and how many had it.
pub async fn commonest_errors(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<(Option<i32>, i64)>> {
    sqlx::query_as(
        "SELECT error_code, count(*) FROM (SELECT error_code FROM channel_chunks c WHERE state = 'failed' AND updated_at > $1
                                              AND NOT EXISTS (SELECT FROM channel_deliveries s WHERE s.resent_from = c.id) LIMIT 1000) AS lost
         GROUP BY error_code ORDER BY count(*) DESC LIMIT 3",
    )
    .bind(since)
    .fetch_all(conn)
    .await
}
