//! `channel_deliveries`: logical outbound messages. A delivery's chunks are written with it or, if it waits, when that is over; from there on its state
//! follows theirs. One that has not begun to leave may be put off until quiet hours end ([`crate::quiet_deliveries`]).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::chunks::{ChunkState, End};
use crate::ids::{AddressId, ChunkId, ConversationId, DeliveryId, LinkId, MessageId, TurnId, UserId};
use crate::planned_chunks::{self, NewChunk};
use crate::proactive_deliveries;
use crate::text_enum::text_enum;

text_enum! {
    /// Why something is sent.
    pub enum Purpose in ["channel_deliveries.purpose"] {
        /// The agent's answer to a message: not metered, no footer.
        Reply = "reply",
        /// The channel's own word about a message, a confirmation say: not metered, no footer.
        Notice = "notice",
        /// The product's word to a user: metered, with a footer.
        Notification = "notification",
        /// A schedule's word to a user: metered, with a footer.
        Scheduled = "scheduled",
    }
}

text_enum! {
    /// Where a delivery stands: the worst that happened to any of its chunks, once none is to be sent any more.
    pub enum DeliveryState in ["channel_deliveries.state"] {
        /// It waits, with no job and no reservation: for the person's next message, for quiet hours to end, or for a place among the people of a day.
        Waiting = "waiting",
        /// A chunk is still to be sent, or in doubt.
        Open = "open",
        /// Twilio has all of it.
        Sent = "sent",
        /// The person has all of it.
        Delivered = "delivered",
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
    /// What keeps a delivery from being sent, as its reason tells.
    pub enum Obstacle in [] {
        /// The user has no link, or it has ended or waits for a new claim.
        NotLinked = "not_linked",
        /// The assistant may not talk to people of the person's country.
        Country = "country",
        /// The person wants no proactive messages.
        OptedOut = "opted_out",
        /// There is nothing to say.
        Empty = "empty",
        /// A variable of the template is blank or too long, now that it is filled.
        TemplateVariable = "template_variable",
        /// It falls into quiet hours, which it does not wait out.
        QuietHours = "quiet_hours",
        /// The allowance has no room.
        Quota = "quota",
        /// The person has not written for 24 hours, and there is no template.
        Window = "window",
    }
}

/// What the chunks behind one that was not sent are cancelled for.
pub const EARLIER_PART_NOT_SENT: &str = "an earlier part was not sent";

/// A delivery that was planned.
#[derive(Debug)]
pub struct NewDelivery<'a> {
    /// To whom.
    pub address_id: AddressId,
    /// In which thread.
    pub conversation_id: Option<ConversationId>,
    /// Which turn it answers; a turn is answered once.
    pub turn_id: Option<TurnId>,
    /// Which message a notice answers; a message gets one notice.
    pub message_id: Option<MessageId>,
    /// It is sent only while this link holds; `None`: to whoever has the address.
    pub link_id: Option<LinkId>,
    /// Why.
    pub purpose: Purpose,
    /// What is said, with WhatsApp's signs.
    pub text: &'a str,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// Its parts, in order.
    pub chunks: Vec<NewChunk<'a>>,
}

/// Stores a delivery with its chunks; returns its id and theirs, in order.
pub async fn create(
    conn: &mut PgConnection,
    delivery: NewDelivery<'_>,
) -> sqlx::Result<(DeliveryId, Vec<ChunkId>)> {
    let id = DeliveryId::generate();
    sqlx::query(
        "INSERT INTO channel_deliveries (id, address_id, conversation_id, turn_id, message_id, link_id, purpose, text, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id)
    .bind(delivery.address_id)
    .bind(delivery.conversation_id)
    .bind(delivery.turn_id)
    .bind(delivery.message_id)
    .bind(delivery.link_id)
    .bind(delivery.purpose)
    .bind(delivery.text)
    .bind(delivery.expires_at)
    .execute(&mut *conn)
    .await?;
    let chunk_ids = planned_chunks::add(conn, &[(id, &delivery.chunks)]).await?.remove(0);
    Ok((id, chunk_ids))
}

/// A delivery as the product sees it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Whose allowance it takes; `None`: nobody's.
    pub user_id: Option<UserId>,
    /// To whom; `None`: nobody was there.
    pub address_id: Option<AddressId>,
    /// Why.
    pub purpose: Purpose,
    /// What is said, with WhatsApp's signs.
    pub text: String,
    /// The approved template.
    pub content_sid: Option<String>,
    /// Its variables.
    pub content_variables: Option<serde_json::Value>,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it ended other than well.
    pub reason: Option<String>,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// It waits for the person's next message.
    pub waits_for_inbound: bool,
    /// The end of quiet hours that it waits for, or has waited for.
    pub waits_until: Option<DateTime<Utc>>,
    /// What quiet hours mean for it.
    pub quiet_rule: Option<serde_json::Value>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// The delivery whose failed part, and what came behind it, this one sends anew.
    pub resent_from: Option<DeliveryId>,
}

/// A delivery by its id.
pub async fn get(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Option<Delivery>> {
    sqlx::query_as(
        "SELECT id, user_id, address_id, purpose, text, content_sid, content_variables, state, reason, expires_at, waits_for_inbound, waits_until, quiet_rule,
                created_at, (SELECT c.delivery_id FROM channel_chunks c WHERE c.id = resent_from) AS resent_from
         FROM channel_deliveries WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Where these deliveries stand, and why those that ended other than well did.
pub async fn states(
    conn: &mut PgConnection,
    ids: &[DeliveryId],
) -> sqlx::Result<Vec<(DeliveryId, DeliveryState, Option<String>)>> {
    sqlx::query_as("SELECT id, state, reason FROM channel_deliveries WHERE id = ANY ($1)")
        .bind(ids)
        .fetch_all(conn)
        .await
}

/// Whose a delivery is; `None`: nobody's, since its person is no user.
pub async fn user_of(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar(
        "SELECT coalesce(d.user_id, (SELECT c.user_id FROM channel_conversations c WHERE c.id = d.conversation_id)) FROM channel_deliveries d WHERE d.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    Ok(user.flatten())
}

/// A chunk as the product sees it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ChunkSummary {
    /// Its number.
    pub id: ChunkId,
    /// Its place, from 0.
    pub index: i32,
    /// Where it stands.
    pub state: ChunkState,
    /// Twilio's id.
    pub sid: Option<String>,
    /// Twilio's error.
    pub error_code: Option<i32>,
    /// Counts against the allowance.
    pub meter_proactive: bool,
    /// Carries the footer.
    pub has_footer: bool,
}

/// The chunks of a delivery, in order.
pub async fn chunks(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Vec<ChunkSummary>> {
    sqlx::query_as(
        "SELECT id, index, state, sid, error_code, meter_proactive, has_footer FROM channel_chunks WHERE delivery_id = $1 ORDER BY index",
    )
    .bind(id)
    .fetch_all(conn)
    .await
}

/// Cancels the planned chunks of a delivery. False: there were none. A chunk that is being sent stays in doubt until
/// it is cleared up.
pub async fn cancel(conn: &mut PgConnection, id: DeliveryId, reason: &str) -> sqlx::Result<bool> {
    if proactive_deliveries::end_waiting(conn, id, DeliveryState::Cancelled, reason).await? {
        return Ok(true);
    }
    sqlx::query("SELECT FROM channel_deliveries WHERE id = $1 FOR UPDATE")
        .bind(id)
        .execute(&mut *conn)
        .await?;
    let done = sqlx::query(
        "UPDATE channel_chunks SET state = 'cancelled', error_message = $2, updated_at = clock_timestamp() WHERE delivery_id = $1 AND state = 'planned'",
    )
    .bind(id)
    .bind(reason)
    .execute(&mut *conn)
    .await?;
    follow_chunks(conn, id).await?;
    Ok(done.rows_affected() > 0)
}

/// Whether a delivery must wait before its first chunk, so that two deliveries to one person do not interleave. A
/// proactive delivery waits for replies of the last two minutes; a reply waits for a proactive delivery that has
/// begun and had a chunk accepted in the last 20 seconds.
pub async fn must_let_pass(
    conn: &mut PgConnection,
    id: DeliveryId,
    address_id: AddressId,
    is_proactive: bool,
) -> sqlx::Result<bool> {
    let question = if is_proactive {
        "SELECT EXISTS (SELECT FROM channel_deliveries d WHERE d.address_id = $2 AND d.state = 'open' AND d.id <> $1 AND d.purpose IN ('reply', 'notice')
             AND d.created_at > now() - interval '2 minutes')"
    } else {
        "SELECT EXISTS (
             SELECT FROM channel_deliveries d WHERE d.address_id = $2 AND d.state = 'open' AND d.id <> $1 AND d.purpose IN ('notification', 'scheduled')
               AND EXISTS (SELECT FROM channel_chunks c WHERE c.delivery_id = d.id AND c.state = 'planned')
               AND EXISTS (SELECT FROM channel_chunks c WHERE c.delivery_id = d.id AND c.accepted_at > now() - interval '20 s'))"
    };
    sqlx::query_scalar(question).bind(id).bind(address_id).fetch_one(conn).await
}

/// Ends the planned chunks of a link that does not hold any more. A chunk that is being sent stays in doubt until it
/// is cleared up. The caller holds the address's lock.
pub(crate) async fn end_of_link(
    conn: &mut PgConnection,
    link_id: LinkId,
    end: End,
    reason: &str,
) -> sqlx::Result<()> {
    let open: Vec<DeliveryId> = sqlx::query_scalar(
        "SELECT id FROM channel_deliveries WHERE link_id = $1 AND state = 'open' ORDER BY id FOR UPDATE",
    )
    .bind(link_id)
    .fetch_all(&mut *conn)
    .await?;
    for id in open {
        sqlx::query(
            "UPDATE channel_chunks SET state = $2, error_message = $3, updated_at = clock_timestamp() WHERE delivery_id = $1 AND state = 'planned'",
        )
        .bind(id)
        .bind(end.state())
        .bind(reason)
        .execute(&mut *conn)
        .await?;
        follow_chunks(conn, id).await?;
    }
    Ok(())
}

/// Lets a delivery's state follow its chunks: open while one is still to be sent; then the worst that happened to any of them. After a
/// failure in the middle the chunks behind it are cancelled: the rest of a text without its middle helps nobody. The caller holds the delivery's
/// lock.
pub async fn follow_chunks(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<()> {
    sqlx::query(
        "WITH known AS (
             SELECT c.id, c.index, c.state AS was, c.error_message,
                    min(c.index) FILTER (WHERE c.state IN ('failed', 'cancelled', 'blocked', 'expired', 'unknown')) OVER () AS first_lost
             FROM channel_chunks c WHERE c.delivery_id = $1
         ), chunks AS (
             SELECT k.*, CASE WHEN k.was = 'planned' AND k.index > k.first_lost THEN 'cancelled' ELSE k.was END AS state FROM known k
         ), rest AS (
             UPDATE channel_chunks c SET state = 'cancelled', error_message = $2, updated_at = clock_timestamp()
             FROM chunks WHERE c.id = chunks.id AND chunks.state <> chunks.was
         )
         UPDATE channel_deliveries d
         SET state = now_is.state, reason = CASE WHEN now_is.state IN ('sent', 'delivered') THEN NULL ELSE now_is.reason END,
             closed_at = CASE WHEN now_is.state = 'open' THEN NULL ELSE coalesce(d.closed_at, clock_timestamp()) END
         FROM (
             SELECT CASE
                        WHEN bool_or(c.state IN ('planned', 'sending')) THEN 'open'
                        WHEN bool_or(c.state = 'failed') THEN 'failed'
                        WHEN bool_or(c.state = 'unknown') THEN 'unknown'
                        WHEN bool_or(c.state = 'expired') THEN 'expired'
                        WHEN bool_or(c.state = 'blocked') THEN 'blocked'
                        WHEN bool_or(c.state = 'cancelled') THEN 'cancelled'
                        WHEN bool_and(c.state IN ('delivered', 'read')) THEN 'delivered'
                        ELSE 'sent'
                    END AS state,
                    (array_agg(c.error_message ORDER BY c.index) FILTER (WHERE c.index = c.first_lost))[1] AS reason
             FROM chunks c
         ) AS now_is
         WHERE d.id = $1 AND d.state <> now_is.state",
    )
    .bind(id)
    .bind(EARLIER_PART_NOT_SENT)
    .execute(conn)
    .await?;
    Ok(())
}
