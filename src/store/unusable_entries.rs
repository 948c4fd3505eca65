//! `channel_unusable_entries`: entries of Twilio's list of inbound messages that could not be taken in. Each is set
//! aside for a person, so that it does not hold up the others.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::UnusableEntryId;

/// An entry that was kept aside.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct EntryAside {
    /// Its number.
    pub id: UnusableEntryId,
    /// Twilio's id; `None`: it cannot be read.
    pub sid: Option<String>,
    /// What is wrong with it.
    pub reason: String,
    /// When the message was written, if Twilio says so.
    pub listed_at: Option<DateTime<Utc>>,
    /// How many rounds have met it.
    pub times: i32,
    /// In the first round.
    pub first_seen_at: DateTime<Utc>,
    /// In the latest round.
    pub last_seen_at: DateTime<Utc>,
    /// When it could be taken in after all.
    pub taken_in_at: Option<DateTime<Utc>>,
}

/// Keeps an entry aside, or counts it once more. True: it is new. Entries without an id cannot be told apart, so one of an hour stands for all
/// with the same reason.
pub async fn keep(
    conn: &mut PgConnection,
    sid: Option<&str>,
    reason: &str,
    listed_at: Option<DateTime<Utc>>,
) -> sqlx::Result<bool> {
    let counted = sqlx::query(
        "UPDATE channel_unusable_entries SET times = times + 1, reason = $2, last_seen_at = now()
         WHERE sid = $1 OR ($1 IS NULL AND sid IS NULL AND reason = $2 AND first_seen_at > now() - interval '1 hour')",
    )
    .bind(sid)
    .bind(reason)
    .execute(&mut *conn)
    .await?;
    if counted.rows_affected() > 0 {
        return Ok(false);
    }
    let kept = sqlx::query(
        "INSERT INTO channel_unusable_entries (sid, reason, listed_at) VALUES ($1, $2, $3) ON CONFLICT (sid) DO NOTHING",
    )
    .bind(sid)
    .bind(reason)
    .bind(listed_at)
    .execute(conn)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Notes that a message that was kept aside has been taken in after all.
pub async fn settle(conn: &mut PgConnection, sid: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_unusable_entries SET taken_in_at = now() WHERE sid = $1 AND taken_in_at IS NULL",
    )
    .bind(sid)
    .execute(conn)
    .await?;
    Ok(())
}

/// What is kept aside and not taken in yet, the newest first, at most 200.
pub async fn open(conn: &mut PgConnection) -> sqlx::Result<Vec<EntryAside>> {
    sqlx::query_as(
        "SELECT id, sid, reason, listed_at, times, first_seen_at, last_seen_at, taken_in_at FROM channel_unusable_entries
         WHERE taken_in_at IS NULL ORDER BY id DESC LIMIT 200",
    )
    .fetch_all(conn)
    .await
}
