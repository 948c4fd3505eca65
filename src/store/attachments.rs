//! `channel_attachments`: what came of the files that people sent.

use sqlx::PgConnection;

use crate::ids::MessageId;
use crate::text_enum::text_enum;

text_enum! {
    /// What came of a file.
    pub enum AttachmentState in ["channel_attachments.state"] {
        /// The agent saw it.
        Shown = "shown",
        /// The agent was told its name.
        Named = "named",
        /// It is no file for the agent, who was told its name and why.
        Refused = "refused",
        /// It could not be fetched, and the agent was told its name and why.
        Failed = "failed",
    }
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Attachment {
    /// Of which message.
    pub message_id: MessageId,
    /// Which of its files, from 0.
    pub index: i32,
    /// What its writer says it is.
    pub content_type: String,
    /// What came of it.
    pub state: AttachmentState,
    /// Of what was fetched.
    pub size_bytes: Option<i64>,
    /// Why it could not be shown.
    pub reason: Option<String>,
}

/// Notes what came of files; the last time counts.
pub async fn note(conn: &mut PgConnection, attachments: &[Attachment]) -> sqlx::Result<()> {
    for attachment in attachments {
        sqlx::query(
            "INSERT INTO channel_attachments (message_id, index, content_type, state, size_bytes, reason) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (message_id, index) DO UPDATE
             SET content_type = EXCLUDED.content_type, state = EXCLUDED.state, size_bytes = EXCLUDED.size_bytes, reason = EXCLUDED.reason, fetched_at = now()",
        )
        .bind(attachment.message_id)
        .bind(attachment.index)
        .bind(&attachment.content_type)
        .bind(attachment.state)
        .bind(attachment.size_bytes)
        .bind(&attachment.reason)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// What came of the files of these messages.
pub async fn of_messages(
    conn: &mut PgConnection,
    message_ids: &[MessageId],
) -> sqlx::Result<Vec<Attachment>> {
    sqlx::query_as(
        "SELECT message_id, index, content_type, state, size_bytes, reason FROM channel_attachments WHERE message_id = ANY ($1) ORDER BY message_id, index",
    )
    .bind(message_ids)
    .fetch_all(conn)
    .await
}
