//! `channel_status_callbacks`: what Twilio reported, kept as it came.

use sqlx::PgConnection;

use crate::ids::ChunkId;

/// A status callback.
#[derive(Debug)]
pub struct NewStatusCallback<'a> {
    /// The chunk named in the callback's URL, if it is one of ours.
    pub chunk_id: Option<ChunkId>,
    /// The attempt named there.
    pub attempt: Option<i32>,
    /// Twilio's id of the message.
    pub sid: &'a str,
    /// Its status, in Twilio's word.
    pub status: &'a str,
    /// Twilio's error code.
    pub error_code: Option<i32>,
    /// Every parameter that Twilio sent.
    pub params: &'a serde_json::Value,
}

/// Keeps a callback.
pub async fn insert(conn: &mut PgConnection, callback: NewStatusCallback<'_>) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO channel_status_callbacks (chunk_id, attempt, sid, status, error_code, params) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(callback.chunk_id)
        .bind(callback.attempt)
        .bind(callback.sid)
        .bind(callback.status)
        .bind(callback.error_code)
        .bind(callback.params)
        .execute(conn)
        .await?;
    Ok(())
}
