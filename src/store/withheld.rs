//! `channel_turns.withheld`: what an answer held that is not for a person. Kinds alone are kept, never the words.

use sqlx::PgConnection;

use crate::ids::TurnId;
use crate::text_enum::text_enum;

text_enum! {
    /// A kind of what is not for a person.
    pub enum WithheldKind in ["channel_turns.withheld"] {
        /// `NO_REPLY`.
        Silence = "silence",
        /// `HEARTBEAT_OK`.
        Heartbeat = "heartbeat",
        /// What the agent thought before it spoke.
        Thought = "thought",
        /// A file that the gateway was to send.
        MediaDirective = "media_directive",
        /// Characters that control a terminal.
        ControlCharacter = "control_character",
    }
}

/// Puts on record what the answer of a running turn held. The caller ends the turn in the same transaction.
pub async fn note(conn: &mut PgConnection, id: TurnId, kinds: &[WithheldKind]) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_turns SET withheld = $2 WHERE id = $1 AND state = 'running'")
        .bind(id)
        .bind(kinds)
        .execute(conn)
        .await?;
    Ok(())
}
