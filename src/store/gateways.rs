//! `channel_gateways`: what was found out about agents' gateways. All processes go by it, so a conversation is not led in two ways. A gateway is known by
//! the hash of its address, which may be a user's own.

use sqlx::PgConnection;

use crate::text_enum::text_enum;

text_enum! {
    /// Who keeps the history of conversations.
    pub enum MemoryKeeper in ["channel_gateways.memory"] {
        /// The gateway.
        Gateway = "gateway",
        /// Nobody there: each turn brings the thread along.
        Thread = "thread",
    }
}

/// What is known of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Gateway {
    /// Who keeps its history; `None`: it has never told.
    pub memory: Option<MemoryKeeper>,
    /// It is to be asked again.
    pub is_due: bool,
}

/// How long an answer holds, and how long a gateway that gave none is left alone.
const ANSWER_HOLDS_SECS: f64 = 900.0;
const SILENCE_HOLDS_SECS: f64 = 60.0;

/// What is known of the gateway at this address; `None`: nobody has asked it. A moment in the future was written by a wrong clock, and the gateway is
/// asked again.
pub async fn get(conn: &mut PgConnection, address: &str) -> sqlx::Result<Option<Gateway>> {
    sqlx::query_as(
        "SELECT memory, asked_at NOT BETWEEN clock_timestamp() - make_interval(secs => CASE WHEN answered THEN $2::FLOAT8 ELSE $3 END)
                            AND clock_timestamp() + interval '1 second' AS is_due
         FROM channel_gateways WHERE address_hash = sha256(convert_to($1, 'UTF8'))",
    )
    .bind(address)
    .bind(ANSWER_HOLDS_SECS)
    .bind(SILENCE_HOLDS_SECS)
    .fetch_optional(conn)
    .await
}

/// Keeps what asking a gateway came to, and returns what is known of it now. One that told nothing this time stays what it was.
pub async fn note(
    conn: &mut PgConnection,
    address: &str,
    memory: Option<MemoryKeeper>,
    answered: bool,
) -> sqlx::Result<Option<MemoryKeeper>> {
    sqlx::query_scalar(
        "INSERT INTO channel_gateways AS g (address_hash, memory, answered) VALUES (sha256(convert_to($1, 'UTF8')), $2, $3)
         ON CONFLICT (address_hash) DO UPDATE SET memory = coalesce(EXCLUDED.memory, g.memory), answered = EXCLUDED.answered, asked_at = clock_timestamp()
         RETURNING memory",
    )
    .bind(address)
    .bind(memory)
    .bind(answered)
    .fetch_one(conn)
    .await
}

/// Forgets gateways that nobody has asked for a month.
pub async fn forget_unused(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let done = sqlx::query("DELETE FROM channel_gateways WHERE asked_at < now() - interval '30 days'")
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}
