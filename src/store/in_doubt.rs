//! Chunks whose request may have reached Twilio or not. Each is cleared up by proof, or by an administrator, or ends as unknown.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::chunks::{ChunkForm, ChunkState};
use crate::deliveries::Purpose;
use crate::ids::{AddressId, ChunkId, DeliveryId, UserId};
use crate::send_attempts::{self, SendOutcome};
use crate::text_enum::text_enum;

/// A send of which nobody knows whether it arrived.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Doubt {
    /// The chunk's number.
    pub id: ChunkId,
    /// The delivery it is a part of.
    pub delivery_id: DeliveryId,
    /// Its place in the delivery, from 0.
    pub index: i32,
    /// Parts behind it that wait.
    pub waiting: i64,
    /// `Sending` or `Unknown`.
    pub state: ChunkState,
    /// What Twilio was given.
    pub form: ChunkForm,
    /// Why it is sent.
    pub purpose: Purpose,
    /// Whose; `None`: nobody's, or the user was erased.
    pub user_id: Option<UserId>,
    /// The alias that the last attempt wrote to.
    pub sent_to: Option<String>,
    /// What was sent; `None`: a template, or it was erased.
    pub text: Option<String>,
    /// The template that was sent.
    pub content_sid: Option<String>,
    /// What is known.
    pub error_message: Option<String>,
    /// Since when nobody knows: the beginning of the last attempt.
    pub since: Option<DateTime<Utc>>,
    /// The request of the last attempt is given up then.
    pub deadline_at: Option<DateTime<Utc>>,
    /// When a first list of Twilio's did not have it.
    pub first_miss_at: Option<DateTime<Utc>>,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// The database's clock now.
    pub now: DateTime<Utc>,
}

text_enum! {
    /// What an administrator says of a send in doubt.
    pub enum AdminVerdict in ["channel_chunks.verdict"] {
        /// The person has it.
        Arrived = "arrived",
        /// The person does not have it.
        SendAgain = "send_again",
    }
}

/// Nobody knows whether this attempt reached Twilio; the chunk stays `sending`.
pub async fn raise(conn: &mut PgConnection, id: ChunkId, attempt: i32, error: &str) -> sqlx::Result<()> {
    send_attempts::end(conn, id, attempt, SendOutcome::InDoubt, None, None, Some(error)).await
}

/// Notes that a list of Twilio's did not have this attempt. Returns the seconds since the first such list; 0 if this
/// is the first.
pub async fn note_miss(conn: &mut PgConnection, id: ChunkId, attempt: i32) -> sqlx::Result<f64> {
    sqlx::query_scalar(
        "UPDATE channel_send_attempts
         SET first_miss_at = coalesce(first_miss_at, statement_timestamp()), outcome = coalesce(outcome, 'in_doubt'),
             history = CASE WHEN outcome IS NULL
                            THEN coalesce(history, '[]') || jsonb_build_object('at', deadline_at, 'outcome', 'in_doubt', 'reason', 'its process died')
                            ELSE history END
         WHERE chunk_id = $1 AND attempt = $2
         RETURNING greatest(0, extract(epoch FROM statement_timestamp() - first_miss_at))::DOUBLE PRECISION",
    )
    .bind(id)
    .bind(attempt)
    .fetch_one(conn)
    .await
}

/// The other chunks to this address that are in doubt: what was sent (`None`: a template), and when the first attempt began.
pub async fn rivals(
    conn: &mut PgConnection,
    id: ChunkId,
    address_id: AddressId,
) -> sqlx::Result<Vec<(Option<String>, DateTime<Utc>)>> {
    sqlx::query_as(
        "SELECT CASE WHEN c.form = 'text' THEN c.body END, a.started_at
         FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id JOIN channel_send_attempts a ON a.chunk_id = c.id AND a.attempt = 1
         WHERE c.state IN ('sending', 'unknown') AND c.sid IS NULL AND c.id <> $1 AND d.address_id = $2",
    )
    .bind(id)
    .bind(address_id)
    .fetch_all(conn)
    .await
}

/// Sends in doubt, the oldest first, at most 200: those that nobody knows about, and those whose deadline is past, since their process may have died.
pub async fn open(conn: &mut PgConnection) -> sqlx::Result<Vec<Doubt>> {
    sqlx::query_as(
        "SELECT c.id, c.delivery_id, c.index, (SELECT count(*) FROM channel_chunks n WHERE n.delivery_id = c.delivery_id AND n.state = 'planned') AS waiting,
                c.state, c.form, d.purpose, coalesce(d.user_id, t.user_id) AS user_id, c.sent_to, CASE WHEN c.form = 'text' THEN nullif(c.body, '') END AS text,
                CASE WHEN c.form = 'template' THEN d.content_sid END AS content_sid, coalesce(c.error_message, a.error_message) AS error_message,
                a.started_at AS since, c.deadline_at, a.first_miss_at, d.expires_at, clock_timestamp() AS now
         FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id LEFT JOIN channel_conversations t ON t.id = d.conversation_id
         LEFT JOIN channel_send_attempts a ON a.chunk_id = c.id AND a.attempt = c.attempt
         WHERE c.state IN ('sending', 'unknown') AND (c.state = 'unknown' OR c.deadline_at < now() OR a.outcome = 'in_doubt') ORDER BY c.id LIMIT 200",
    )
    .fetch_all(conn)
    .await
}

/// Sends in doubt of which nothing has been found out.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Overdue {
    /// How many, of the first thousand.
    pub chunks: i64,
    /// When the oldest of them was last tried.
    pub since: Option<DateTime<Utc>>,
}

/// Sends that nobody has cleared up though their deadline was so many seconds ago. The first condition is the partial index's.
pub async fn overdue(conn: &mut PgConnection, for_secs: f64) -> sqlx::Result<Overdue> {
    sqlx::query_as(
        "SELECT count(*) AS chunks, min(deadline_at) AS since
         FROM (SELECT c.deadline_at FROM channel_chunks c
               WHERE c.state IN ('sending', 'unknown') AND c.state = 'sending' AND c.deadline_at < now() - make_interval(secs => $1) LIMIT 1000) AS late",
    )
    .bind(for_secs)
    .fetch_one(conn)
    .await
}

/// Applies an administrator's verdict to a chunk in doubt. False: the chunk is not in doubt. The caller holds the
/// chunk's lock.
pub async fn give_verdict(
    conn: &mut PgConnection,
    id: ChunkId,
    verdict: AdminVerdict,
    actor: &str,
) -> sqlx::Result<bool> {
    let state = match verdict {
        AdminVerdict::Arrived => ChunkState::Sent,
        AdminVerdict::SendAgain => ChunkState::Planned,
    };
    let done = sqlx::query(
        "UPDATE channel_chunks SET state = $2, verdict = $3, accepted_at = CASE WHEN $3 = 'arrived' THEN clock_timestamp() END, send_at = NULL,
             error_message = NULL, updated_at = clock_timestamp()
         WHERE id = $1 AND state IN ('sending', 'unknown')",
    )
    .bind(id)
    .bind(state)
    .bind(verdict)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    // The attempt keeps it, whatever is found out later.
    sqlx::query(
        "UPDATE channel_send_attempts a
         SET history = coalesce(a.history, '[]') || jsonb_build_object('at', clock_timestamp(), 'verdict', $2::TEXT, 'by', $3::TEXT)
         FROM channel_chunks c WHERE c.id = $1 AND a.chunk_id = c.id AND a.attempt = c.attempt",
    )
    .bind(id)
    .bind(verdict)
    .bind(actor)
    .execute(conn)
    .await?;
    Ok(true)
}

/// Chunks in doubt whose last attempt began at least this long ago: the caller ends them as unknown. At most 100. The first condition is the partial
/// index's.
pub async fn given_up(conn: &mut PgConnection, give_up_secs: f64) -> sqlx::Result<Vec<ChunkId>> {
    sqlx::query_scalar(
        "SELECT c.id FROM channel_chunks c JOIN channel_send_attempts a ON a.chunk_id = c.id AND a.attempt = c.attempt
         WHERE c.state IN ('sending', 'unknown') AND c.state = 'sending' AND a.started_at <= now() - make_interval(secs => $1) ORDER BY c.id LIMIT 100",
    )
    .bind(give_up_secs)
    .fetch_all(conn)
    .await
}
