//! `channel_chunks`: each is one Twilio message, sent once.
//!
//! `sending` is committed before the request, so whoever finds it later knows that Twilio may have the message. From there a chunk
//! leaves only with proof: an answer, a callback, Twilio's own list, or two lists that do not have it.
//!
//! Whatever writes `state` here also moves the allowance and its ledger: the trigger `whatsapp_meter_state` counts the
//! chunk, and `whatsapp_withdraw_credit` takes a credit back (`migrations/functions.sql`). [`crate::allowances::credit`]
//! gives one.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{AddressId, ChunkId, DeliveryId};
use crate::text_enum::text_enum;

text_enum! {
    /// Where a chunk stands.
    pub enum ChunkState in ["channel_chunks.state"] {
        /// It is to be sent.
        Planned = "planned",
        /// Twilio may have it, and only proof leads on from there.
        Sending = "sending",
        /// Twilio has it.
        Accepted = "accepted",
        /// WhatsApp has it.
        Sent = "sent",
        /// The phone has it.
        Delivered = "delivered",
        /// The person has seen it.
        Read = "read",
        /// Twilio or WhatsApp refused it.
        Failed = "failed",
        /// It shall not be sent any more.
        Cancelled = "cancelled",
        /// It must not be sent.
        Blocked = "blocked",
        /// It was not sent in time.
        Expired = "expired",
        /// It may have been sent or not; nobody will ever know.
        Unknown = "unknown",
    }
}

text_enum! {
    /// What Twilio is given.
    pub enum ChunkForm in ["channel_chunks.form"] {
        /// The chunk's own words.
        Text = "text",
        /// The delivery's template.
        Template = "template",
    }
}

text_enum! {
    /// What an attempt to send a chunk came to.
    pub enum SendOutcome in ["channel_chunk_attempts.outcome"] {
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

text_enum! {
    /// Twilio's words for what became of a message, as far as they move a chunk.
    pub enum TwilioStatus in [] {
        /// WhatsApp has it.
        Sent = "sent",
        /// The phone has it.
        Delivered = "delivered",
        /// The person has seen it.
        Read = "read",
        /// It came to nothing, before WhatsApp had it.
        Failed = "failed",
        /// It came to nothing, on the way to the phone.
        Undelivered = "undelivered",
    }
}

impl TwilioStatus {
    /// Whether the message came to nothing for good.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Undelivered)
    }
}

/// A chunk with what its delivery says about sending it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Chunk {
    /// Its number.
    pub id: ChunkId,
    /// The delivery it is a part of.
    pub delivery_id: DeliveryId,
    /// To whom.
    pub address_id: AddressId,
    /// Its place in the delivery, from 0.
    pub index: i32,
    /// Exactly what is sent.
    pub body: String,
    /// Counts against the allowance.
    pub meter_proactive: bool,
    /// Carries the footer.
    pub proactive: bool,
    /// Where it stands.
    pub state: ChunkState,
    /// The number of the last attempt to send it.
    pub attempt: i32,
    /// The alias that the last attempt wrote to.
    pub sent_to: Option<String>,
    /// When the last attempt's request is given up.
    pub deadline_at: Option<DateTime<Utc>>,
    /// When the last attempt began.
    pub attempt_started_at: Option<DateTime<Utc>>,
    /// The link under which it is sent has ended.
    pub link_ended: bool,
    /// Its delivery is of our own accord: an opt-out stops it.
    pub of_own_accord: bool,
    /// The template that is sent; `None`: its body is sent.
    pub content_sid: Option<String>,
    /// The template's variables.
    pub content_variables: Option<serde_json::Value>,
    /// The moment that the sender's pace gave it.
    pub send_at: Option<DateTime<Utc>>,
    /// Not sent any more after this.
    pub expires_at: DateTime<Utc>,
    /// The database's clock now.
    pub now: DateTime<Utc>,
}

/// A chunk by its number. Who wants to change it reads it by [`lock`].
pub async fn get(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<Option<Chunk>> {
    sqlx::query_as(
        "SELECT c.id, c.delivery_id, d.address_id, c.index, c.body, c.meter_proactive, c.proactive, c.state, c.attempt, c.sent_to, c.deadline_at,
                a.started_at AS attempt_started_at, (l.ended_at IS NOT NULL OR l.unproven_since IS NOT NULL) AS link_ended,
                d.purpose IN ('notification', 'scheduled') AS of_own_accord, CASE WHEN c.form = 'template' THEN d.content_sid END AS content_sid,
                CASE WHEN c.form = 'template' THEN d.content_variables END AS content_variables, c.send_at, d.expires_at, clock_timestamp() AS now
         FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
         LEFT JOIN channel_links l ON l.id = d.link_id
         LEFT JOIN channel_chunk_attempts a ON a.chunk_id = c.id AND a.attempt = c.attempt
         WHERE c.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Locks a chunk's delivery and the chunk itself, in this order, and reads it. The caller holds the address's lock if it needs it.
pub async fn lock(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<Option<Chunk>> {
    sqlx::query("SELECT FROM channel_deliveries d WHERE d.id = (SELECT delivery_id FROM channel_chunks WHERE id = $1) FOR UPDATE")
        .bind(id)
        .execute(&mut *conn)
        .await?;
    sqlx::query("SELECT FROM channel_chunks WHERE id = $1 FOR UPDATE").bind(id).execute(&mut *conn).await?;
    get(conn, id).await
}

/// Locks the deliveries of these chunks, in the order of their ids.
pub async fn lock_deliveries(conn: &mut PgConnection, ids: &[ChunkId]) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT FROM channel_deliveries d WHERE d.id = ANY (ARRAY(SELECT delivery_id FROM channel_chunks WHERE id = ANY ($1)))
         ORDER BY d.id FOR UPDATE",
    )
    .bind(ids)
    .execute(conn)
    .await?;
    Ok(())
}

/// The chunk that Twilio knows by this SID.
pub async fn find_by_sid(conn: &mut PgConnection, sid: &str) -> sqlx::Result<Option<ChunkId>> {
    sqlx::query_scalar("SELECT id FROM channel_chunks WHERE sid = $1").bind(sid).fetch_optional(conn).await
}

/// The chunk before this one in its delivery: its state, and how many seconds ago Twilio accepted it.
pub async fn before(
    conn: &mut PgConnection,
    chunk: &Chunk,
) -> sqlx::Result<Option<(ChunkState, Option<f64>)>> {
    sqlx::query_as(
        "SELECT state, extract(epoch FROM clock_timestamp() - accepted_at)::DOUBLE PRECISION FROM channel_chunks WHERE delivery_id = $1 AND index = $2",
    )
    .bind(chunk.delivery_id)
    .bind(chunk.index - 1)
    .fetch_optional(conn)
    .await
}

/// The chunk behind this one in its delivery.
pub async fn after(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<Option<ChunkId>> {
    sqlx::query_scalar(
        "SELECT next.id FROM channel_chunks c JOIN channel_chunks next ON next.delivery_id = c.delivery_id AND next.index = c.index + 1 WHERE c.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// planned → sending, as a new attempt. Returns its number; `None`: the chunk is not planned any more.
pub async fn begin_sending(
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
    sqlx::query("INSERT INTO channel_chunk_attempts (chunk_id, attempt, deadline_at, traceparent) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(attempt)
        .bind(deadline_at)
        .bind(traceparent)
        .execute(conn)
        .await?;
    Ok(Some(attempt))
}

/// The trace of an attempt, which the handling of its status callbacks continues.
pub async fn trace_of_attempt(
    conn: &mut PgConnection,
    id: ChunkId,
    attempt: i32,
) -> sqlx::Result<Option<String>> {
    let trace: Option<Option<String>> = sqlx::query_scalar(
        "SELECT traceparent FROM channel_chunk_attempts WHERE chunk_id = $1 AND attempt = $2",
    )
    .bind(id)
    .bind(attempt)
    .fetch_optional(conn)
    .await?;
    Ok(trace.flatten())
}

/// What a proof of acceptance led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
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

/// Stores that Twilio accepted this chunk under this SID. This is proof, so it also applies to a chunk that had ended
/// without proof. The caller holds the chunk's lock.
pub async fn accept(conn: &mut PgConnection, id: ChunkId, attempt: i32, sid: &str) -> sqlx::Result<Accepted> {
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
        return Ok(Accepted::AnothersSid { owner });
    }
    end_attempt(conn, id, attempt, SendOutcome::Accepted, Some(sid), None, None).await?;
    match known {
        Some(first_sid) if first_sid == sid => return Ok(Accepted::Already),
        Some(first_sid) => {
            sqlx::query("INSERT INTO channel_double_sends (sid, chunk_id, first_sid) VALUES ($1, $2, $3) ON CONFLICT (sid) DO NOTHING")
                .bind(sid)
                .bind(id)
                .bind(&first_sid)
                .execute(conn)
                .await?;
            return Ok(Accepted::DoubleSend { first_sid });
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
    .execute(conn)
    .await?;
    Ok(Accepted::Stored)
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
    end_attempt(conn, id, attempt, outcome, None, code, Some(error)).await?;
    Ok(done.rows_affected() == 1)
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

/// Whether Twilio refused an attempt of a chunk that was planned again.
pub async fn was_refused(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_chunk_attempts WHERE chunk_id = $1 AND outcome = 'refused')",
    )
    .bind(id)
    .fetch_one(conn)
    .await
}

/// planned or sending → an end, with its reason. False: the chunk was in another state.
pub async fn end(
    conn: &mut PgConnection,
    id: ChunkId,
    end: End,
    code: Option<i32>,
    reason: &str,
) -> sqlx::Result<bool> {
    let ended: Option<i32> = sqlx::query_scalar(
        "UPDATE channel_chunks SET state = $2, error_code = $3, error_message = $4, updated_at = clock_timestamp()
         WHERE id = $1 AND state IN ('planned', 'sending') RETURNING attempt",
    )
    .bind(id)
    .bind(end.state())
    .bind(code)
    .bind(reason)
    .fetch_optional(&mut *conn)
    .await?;
    if let (Some(attempt), End::Failed) = (ended, end) {
        end_attempt(conn, id, attempt, SendOutcome::Refused, None, code, Some(reason)).await?;
    }
    Ok(ended.is_some())
}

/// Keeps the send time that the sender's pace gave a chunk.
pub async fn keep_send_time(
    conn: &mut PgConnection,
    id: ChunkId,
    send_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_chunks SET send_at = $2 WHERE id = $1")
        .bind(id)
        .bind(send_at)
        .execute(conn)
        .await?;
    Ok(())
}

/// The planned chunks of a delivery, in order: what is left to send.
pub async fn planned(conn: &mut PgConnection, delivery_id: DeliveryId) -> sqlx::Result<Vec<Chunk>> {
    let ids: Vec<ChunkId> = sqlx::query_scalar(
        "SELECT id FROM channel_chunks WHERE delivery_id = $1 AND state = 'planned' ORDER BY index",
    )
    .bind(delivery_id)
    .fetch_all(&mut *conn)
    .await?;
    let mut chunks = Vec::with_capacity(ids.len());
    for id in ids {
        chunks.extend(get(conn, id).await?);
    }
    Ok(chunks)
}

/// The chunk that has waited longest to be sent: the first planned one of the oldest open delivery. A probe of the
/// sender tries it.
pub async fn longest_waiting(conn: &mut PgConnection) -> sqlx::Result<Option<ChunkId>> {
    sqlx::query_scalar(
        "SELECT next.id
         FROM channel_deliveries d CROSS JOIN LATERAL (
             SELECT c.id FROM channel_chunks c
             WHERE c.delivery_id = d.id AND c.state = 'planned'
               AND NOT EXISTS (SELECT FROM channel_chunks before WHERE before.delivery_id = d.id AND before.index < c.index AND before.state = 'sending')
             ORDER BY c.index LIMIT 1) AS next
         WHERE d.state = 'open' AND d.expires_at > now()
         ORDER BY d.created_at LIMIT 1",
    )
    .fetch_optional(conn)
    .await
}

/// How a chunk ends without having been accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Twilio refused it.
    Failed,
    /// It must not be sent.
    Blocked,
    /// It shall not be sent any more.
    Cancelled,
    /// It was not sent in time.
    Expired,
    /// It may have been sent or not; nobody will ever know.
    Unknown,
}

impl End {
    pub(crate) fn state(self) -> ChunkState {
        match self {
            Self::Failed => ChunkState::Failed,
            Self::Blocked => ChunkState::Blocked,
            Self::Cancelled => ChunkState::Cancelled,
            Self::Expired => ChunkState::Expired,
            Self::Unknown => ChunkState::Unknown,
        }
    }
}

/// Moves an accepted chunk forward by a status that Twilio reported. False: nothing changed, because the chunk is in
/// that state or a later one, or the status is unknown. Callbacks overtake each other, so a chunk may skip states,
/// and a failure applies only while no delivery is known. The caller holds the chunk's lock.
pub async fn apply_status(
    conn: &mut PgConnection,
    id: ChunkId,
    status: &str,
    code: Option<i32>,
    message: Option<&str>,
) -> sqlx::Result<bool> {
    use ChunkState::{Accepted, Delivered, Failed, Read, Sent};
    let Ok(status) = status.parse() else { return Ok(false) };
    let (state, from): (ChunkState, &[ChunkState]) = match status {
        TwilioStatus::Sent => (Sent, &[Accepted]),
        TwilioStatus::Delivered => (Delivered, &[Accepted, Sent, Failed]),
        TwilioStatus::Read => (Read, &[Accepted, Sent, Failed, Delivered]),
        TwilioStatus::Failed | TwilioStatus::Undelivered => (Failed, &[Accepted, Sent]),
    };
    let done = sqlx::query(
        "UPDATE channel_chunks SET state = $2, error_code = $3, error_message = $4, updated_at = clock_timestamp()
         WHERE id = $1 AND sid IS NOT NULL AND state = ANY ($5)",
    )
    .bind(id)
    .bind(state)
    .bind(code)
    .bind(message)
    .bind(from)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An accepted chunk whose final state is not known.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Unsettled {
    /// The chunk's number.
    pub id: ChunkId,
    /// Twilio's id of its message.
    pub sid: String,
    /// When we learned that Twilio had accepted it.
    pub accepted_at: DateTime<Utc>,
}

/// Chunks without a final state that Twilio accepted at least `older_than_secs` ago and that were looked up
/// `look_ups` times. The oldest first, at most 1000.
pub async fn unsettled(
    conn: &mut PgConnection,
    look_ups: i16,
    older_than_secs: f64,
) -> sqlx::Result<Vec<Unsettled>> {
    sqlx::query_as(
        "SELECT id, sid, accepted_at FROM channel_chunks
         WHERE state IN ('accepted', 'sent') AND sid IS NOT NULL AND status_look_ups = $1 AND accepted_at <= now() - make_interval(secs => $2)
         ORDER BY accepted_at LIMIT 1000",
    )
    .bind(look_ups)
    .bind(older_than_secs)
    .fetch_all(conn)
    .await
}

/// Notes that Twilio was asked for the final state of these chunks.
pub async fn note_look_up(conn: &mut PgConnection, ids: &[ChunkId]) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_chunks SET status_look_ups = status_look_ups + 1 WHERE id = ANY ($1)")
        .bind(ids)
        .execute(conn)
        .await?;
    Ok(())
}

/// Which of these SIDs belong to a chunk already.
pub async fn owned_sids(conn: &mut PgConnection, sids: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT sid FROM channel_chunks WHERE sid = ANY ($1) UNION SELECT sid FROM channel_double_sends WHERE sid = ANY ($1)")
        .bind(sids)
        .fetch_all(conn)
        .await
}

/// Writes an attempt's outcome. `in_doubt` gives way to any other outcome, and `accepted` replaces every other one;
/// otherwise the first outcome stands.
pub(crate) async fn end_attempt(
    conn: &mut PgConnection,
    id: ChunkId,
    attempt: i32,
    outcome: SendOutcome,
    sid: Option<&str>,
    code: Option<i32>,
    message: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_chunk_attempts SET outcome = $3, sid = $4, error_code = $5, error_message = coalesce($6, error_message)
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
