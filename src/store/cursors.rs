//! `channel_cursors`: how far periodic work has come.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::text_enum::text_enum;

text_enum! {
    /// What has come so far.
    pub enum Cursor in ["channel_cursors.name"] {
        /// Twilio's list of inbound messages has been read up to here.
        Backfill = "backfill",
        /// The first start of all: what was written before is none of ours.
        FirstStart = "first_start",
    }
}

/// The moment up to which everything is done; the present if the cursor is new. A moment in the future was written by
/// a wrong clock, so the last day is done again.
pub async fn get(conn: &mut PgConnection, cursor: Cursor) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query("INSERT INTO channel_cursors (name, moment) VALUES ($1, now()) ON CONFLICT DO NOTHING")
        .bind(cursor)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar(
        "SELECT CASE WHEN moment > clock_timestamp() + interval '1 second' THEN clock_timestamp() - interval '1 day' ELSE moment END
         FROM channel_cursors WHERE name = $1",
    )
    .bind(cursor)
    .fetch_one(conn)
    .await
}

/// Moves a cursor forward, never past the present; one in the future comes back.
pub async fn advance(conn: &mut PgConnection, cursor: Cursor, moment: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_cursors SET moment = least($2, clock_timestamp()) WHERE name = $1 AND (moment < $2 OR moment > clock_timestamp())")
        .bind(cursor)
        .bind(moment)
        .execute(conn)
        .await?;
    Ok(())
}
