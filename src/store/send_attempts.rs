//! `channel_send_attempts`: each is one try to hand a chunk to Twilio.
//!
//! `sending` is committed before the request, so whoever finds it later knows that Twilio may have the message. From there a chunk
//! leaves only with proof: an answer, a callback, Twilio's own list, or two lists that do not have it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::ChunkId;
use crate::sent_messages;
use crate::text_enum::text_enum;

text_enum! {
    /// What an attempt to send a chunk came to.
    pub enum SendOutcome in ["channel_send_attempts.outcome"] {
        /// Twilio has the message.
        Accepted = "accepted",
        /// Twilio refused it.
        Refused = "refused",
        /// The request never got through, or Twilio said that it did not process it.
        NotSent = "not_sent",
        /// Nobody knows whether Twilio took it.
        InDoubt = "in_doubt",
        /// Twilio's list does not have it, twice.
        Missed = "missed",
    }
}

/// What storing a SID of a chunk came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SidOutcome {
    /// The chunk has this SID now.
    Stored,
    /// It had it already.
    Already,
    /// It has another one: the message went out twice.
    DoubleSend {
        /// The SID it had.
        first_sid: String,
    },
    /// The SID is another chunk's, so it proves nothing about this one.
    AnothersSid {
        /// Whose.
        owner: ChunkId,
    },
}

/// How an attempt is proven to have sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The request never got through, or Twilio said that it did not process it.
    NotSent,
    /// Twilio's list does not have it, twice.
    Missed,
    /// Twilio refused it with this code, for the name that the person was written to by.
    Refused(i32),
}

/// planned → sending, as a new attempt. Returns its number; `None`: the chunk is not planned any more.
pub async fn begin(
    conn: &mut PgConnection,
    id: ChunkId,
    to: &str,
    deadline_secs: f64,
    traceparent: Option<&str>,
) -> sqlx::Result<Option<i32>> {
    let begun: Option<(i32, DateTime<Utc>)> = sqlx::query_as(
        "UPDATE channel_chunks
         SET state = 'sending', attempt = attempt + 1, sent_to = $2, deadline_at = clock_timestamp() + make_interval(secs => $3),
             error_code = NULL, error_message = NULL, updated_at = clock_timestamp()
         WHERE id = $1 AND state = 'planned' RETURNING attempt, deadline_at",
    )
    .bind(id)
    .bind(to)
    .bind(deadline_secs)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((attempt, deadline_at)) = begun else { return Ok(None) };
    sqlx::query("INSERT INTO channel_send_attempts (chunk_id, attempt, deadline_at, traceparent) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(attempt)
        .bind(deadline_at)
        .bind(traceparent)
        .execute(conn)
        .await?;
    Ok(Some(attempt))
}

/// The trace of an attempt, which the handling of its status callbacks continues.
pub async fn trace(conn: &mut PgConnection, id: ChunkId, attempt: i32) -> sqlx::Result<Option<String>> {
    let trace: Option<Option<String>> = sqlx::query_scalar(
        "SELECT traceparent FROM channel_send_attempts WHERE chunk_id = $1 AND attempt = $2",
    )
    .bind(id)
    .bind(attempt)
    .fetch_optional(conn)
    .await?;
    Ok(trace.flatten())
}

/// Stores that Twilio accepted this chunk under this SID. This is proof, so it also applies to a chunk that had ended
/// without proof. The caller holds the chunk's lock.
pub async fn store_sid(
    conn: &mut PgConnection,
    id: ChunkId,
    attempt: i32,
    sid: &str,
) -> sqlx::Result<SidOutcome> {
    let known: Option<String> = sqlx::query_scalar("SELECT sid FROM channel_chunks WHERE id = $1")
        .bind(id)
        .fetch_one(&mut *conn)
        .await?;
    let owner: Option<ChunkId> =
        sqlx::query_scalar("SELECT id FROM channel_chunks WHERE sid = $1 AND id <> $2")
            .bind(sid)
            .bind(id)
            .fetch_optional(&mut *conn)
            .await?;
    if let Some(owner) = owner {
        // Two chunks with the same text to the same person were in doubt: the other chunk adopted this message, and
        // this chunk will adopt the next one. Or Twilio answered with the wrong message.
        return Ok(SidOutcome::AnothersSid { owner });
    }
    end(conn, id, attempt, SendOutcome::Accepted, Some(sid), None, None).await?;
    match known {
        Some(first_sid) if first_sid == sid => return Ok(SidOutcome::Already),
        Some(first_sid) => {
            let kept = sqlx::query("INSERT INTO channel_double_sends (sid, chunk_id, first_sid) VALUES ($1, $2, $3) ON CONFLICT (sid) DO NOTHING")
                .bind(sid)
                .bind(id)
                .bind(&first_sid)
                .execute(&mut *conn)
                .await?;
            if kept.rows_affected() == 1 {
                // It is charged, too.
                sent_messages::count(conn, id).await?;
            }
            return Ok(SidOutcome::DoubleSend { first_sid });
        }
        None => {}
    }
    sqlx::query(
        "UPDATE channel_chunks SET state = CASE WHEN state IN ('sent', 'delivered', 'read') THEN state ELSE 'accepted' END, sid = $2,
             accepted_at = clock_timestamp(), error_code = NULL, error_message = NULL, updated_at = clock_timestamp()
         WHERE id = $1",
    )
    .bind(id)
    .bind(sid)
    .execute(&mut *conn)
    .await?;
    sent_messages::count(conn, id).await?;
    Ok(SidOutcome::Stored)
}

/// sending → planned: this attempt is proven not to have reached Twilio (`not_sent`), two lists did not have it (`missed`), or Twilio refused the
/// name that it was sent to (`refused`).
pub async fn return_to_planned(
    conn: &mut PgConnection,
    id: ChunkId,
    attempt: i32,
    outcome: Unsent,
    error: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_chunks SET state = 'planned', send_at = NULL, error_message = $3, updated_at = clock_timestamp() WHERE id = $1 AND attempt = $2 AND state = 'sending'",
    )
    .bind(id)
    .bind(attempt)
    .bind(error)
    .execute(&mut *conn)
    .await?;
    let (outcome, code) = match outcome {
        Unsent::NotSent => (SendOutcome::NotSent, None),
        Unsent::Missed => (SendOutcome::Missed, None),
        Unsent::Refused(code) => (SendOutcome::Refused, Some(code)),
    };
    end(conn, id, attempt, outcome, None, code, Some(error)).await?;
    Ok(done.rows_affected() == 1)
}

/// Whether Twilio refused an attempt of a chunk that was planned again.
pub async fn was_refused(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_send_attempts WHERE chunk_id = $1 AND outcome = 'refused')",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}

/// Which of these SIDs belong to a chunk already.
pub async fn owned_sids(conn: &mut PgConnection, sids: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT sid FROM channel_chunks WHERE sid = ANY ($1) UNION SELECT sid FROM channel_double_sends WHERE sid = ANY ($1)")
        .bind(sids)
        .fetch_all(conn)
        .await
}

/// Writes an attempt's outcome, and once there was a doubt also the order in which outcomes came. `in_doubt` gives way to any other outcome, and `accepted` replaces every other one;
/// otherwise the first outcome stands.
pub(crate) async fn end(
    conn: &mut PgConnection,
    id: ChunkId,
    attempt: i32,
    outcome: SendOutcome,
    sid: Option<&str>,
    code: Option<i32>,
    message: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_send_attempts
         SET outcome = $3, sid = $4, error_code = $5, error_message = coalesce($6, error_message),
             history = CASE WHEN outcome IS NOT DISTINCT FROM $3 OR (outcome IS NULL AND $3 <> 'in_doubt' AND history IS NULL) THEN history
                            ELSE coalesce(history, '[]') || jsonb_build_object('at', clock_timestamp(), 'outcome', $3::TEXT, 'reason', $6::TEXT) END
         WHERE chunk_id = $1 AND attempt = $2
           AND (outcome IS NULL OR outcome = 'in_doubt' OR ($3 = 'accepted' AND outcome <> 'accepted'))",
    )
    .bind(id)
    .bind(attempt)
    .bind(outcome)
    .bind(sid)
    .bind(code)
    .bind(message)
    .execute(conn)
    .await?;
    Ok(())
}
