//! `channel_deliveries` of our own accord: planned for many users at once, blocked with a reason, or waiting for a person's next message or for the end
//! of quiet hours ([`crate::quiet_deliveries`]).

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::deliveries::{Delivery, DeliveryState, Obstacle, Purpose};
use crate::ids::{AddressId, ChunkId, DeliveryId, LinkId, UserId};
use crate::planned_chunks::{self, NewChunk};

/// A delivery of our own accord with what was decided about it.
#[derive(Debug)]
pub struct NewProactive<'a> {
    /// Its id, a new UUID v7.
    pub id: DeliveryId,
    /// To whom, and whose allowance it takes.
    pub user_id: &'a UserId,
    /// Why.
    pub purpose: Purpose,
    /// What is said, with WhatsApp's signs.
    pub text: &'a str,
    /// The approved template for when free text is not allowed, and its variables.
    pub template: Option<(&'a str, &'a Value)>,
    /// What is not sent by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// What quiet hours mean for it; `None`: nothing.
    pub quiet_rule: Option<Value>,
    /// What becomes of it.
    pub beginning: Beginning<'a>,
}

/// What becomes of a delivery.
#[derive(Debug)]
pub enum Beginning<'a> {
    /// It is sent.
    Open(Opening<'a>),
    /// It waits for the person's next message.
    Waiting,
    /// It waits for a place among the people of a day.
    WaitingForRoom,
    /// It waits for the end of quiet hours, and expires so much later.
    WaitingUntil {
        /// Their end.
        end: DateTime<Utc>,
        /// What is not sent by then is not sent any more.
        expires_at: DateTime<Utc>,
    },
    /// Its time was over before anything was decided.
    Expired,
    /// Nothing is sent, for this reason.
    Blocked(Obstacle),
}

impl Beginning<'_> {
    /// The state that it has then.
    #[must_use]
    pub fn state(&self) -> DeliveryState {
        match self {
            Self::Open(_) => DeliveryState::Open,
            Self::Waiting | Self::WaitingForRoom | Self::WaitingUntil { .. } => DeliveryState::Waiting,
            Self::Expired => DeliveryState::Expired,
            Self::Blocked(_) => DeliveryState::Blocked,
        }
    }

    /// Why nothing is sent.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Open(_) | Self::Waiting | Self::WaitingForRoom | Self::WaitingUntil { .. } => None,
            Self::Expired => Some("its time was over before it was planned"),
            Self::Blocked(obstacle) => Some(obstacle.as_str()),
        }
    }
}

/// A delivery that is sent. Its chunks have been reserved in the allowance; the caller holds the address's lock.
#[derive(Debug)]
pub struct Opening<'a> {
    /// To whom …
    pub address_id: AddressId,
    /// … under which link.
    pub link_id: LinkId,
    /// The billing period in which its chunks were reserved.
    pub period_start: DateTime<Utc>,
    /// Its parts, in order.
    pub chunks: Vec<NewChunk<'a>>,
}

/// Stores deliveries in one statement, with their chunks in another; returns the chunks' ids, for each delivery in order.
pub async fn create(conn: &mut PgConnection, new: &[NewProactive<'_>]) -> sqlx::Result<Vec<Vec<ChunkId>>> {
    let mut rows = Rows::default();
    for delivery in new {
        rows.push(delivery);
    }
    sqlx::query(
        "INSERT INTO channel_deliveries
             (id, user_id, address_id, link_id, period_start, purpose, text, content_sid, content_variables, expires_at, state, reason, waits_for_inbound,
              waits_for_room, waits_until, quiet_rule, closed_at)
         SELECT id, user_id, address_id, link_id, period_start, purpose, text, content_sid, content_variables, expires_at, state, reason,
                state = 'waiting' AND waits_until IS NULL AND NOT waits_for_room, waits_for_room, waits_until, quiet_rule,
                CASE WHEN state NOT IN ('open', 'waiting') THEN clock_timestamp() END
         FROM unnest($1::UUID[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::TIMESTAMPTZ[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::JSONB[], $10::TIMESTAMPTZ[],
                     $11::TEXT[], $12::TEXT[], $13::TIMESTAMPTZ[], $14::JSONB[], $15::BOOLEAN[])
             AS new (id, user_id, address_id, link_id, period_start, purpose, text, content_sid, content_variables, expires_at, state, reason, waits_until,
                     quiet_rule, waits_for_room)",
    )
    .bind(&rows.ids)
    .bind(&rows.users)
    .bind(&rows.addresses)
    .bind(&rows.links)
    .bind(&rows.periods)
    .bind(&rows.purposes)
    .bind(&rows.texts)
    .bind(&rows.content_sids)
    .bind(&rows.variables)
    .bind(&rows.expiries)
    .bind(&rows.states)
    .bind(&rows.reasons)
    .bind(&rows.waits_until)
    .bind(&rows.quiet_rules)
    .bind(&rows.waits_for_room)
    .execute(&mut *conn)
    .await?;
    let chunks: Vec<_> = new.iter().map(|delivery| (delivery.id, chunks_of(&delivery.beginning))).collect();
    planned_chunks::add(conn, &chunks).await
}

fn chunks_of<'a>(beginning: &'a Beginning<'a>) -> &'a [NewChunk<'a>] {
    match beginning {
        Beginning::Open(opening) => &opening.chunks,
        _ => &[],
    }
}

/// Deliveries as one array for each column.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<DeliveryId>,
    users: Vec<&'a UserId>,
    addresses: Vec<Option<AddressId>>,
    links: Vec<Option<LinkId>>,
    periods: Vec<Option<DateTime<Utc>>>,
    purposes: Vec<Purpose>,
    texts: Vec<&'a str>,
    content_sids: Vec<Option<&'a str>>,
    variables: Vec<Option<&'a Value>>,
    expiries: Vec<DateTime<Utc>>,
    states: Vec<DeliveryState>,
    reasons: Vec<Option<&'static str>>,
    waits_until: Vec<Option<DateTime<Utc>>>,
    quiet_rules: Vec<Option<&'a Value>>,
    waits_for_room: Vec<bool>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, delivery: &'a NewProactive<'a>) {
        let opening = match &delivery.beginning {
            Beginning::Open(opening) => Some(opening),
            _ => None,
        };
        let (waits_until, expires_at) = match delivery.beginning {
            Beginning::WaitingUntil { end, expires_at } => (Some(end), expires_at),
            _ => (None, delivery.expires_at),
        };
        self.ids.push(delivery.id);
        self.users.push(delivery.user_id);
        self.addresses.push(opening.map(|opening| opening.address_id));
        self.links.push(opening.map(|opening| opening.link_id));
        self.periods.push(opening.map(|opening| opening.period_start));
        self.purposes.push(delivery.purpose);
        self.texts.push(delivery.text);
        self.content_sids.push(delivery.template.map(|(content_sid, _)| content_sid));
        self.variables.push(delivery.template.map(|(_, variables)| variables));
        self.expiries.push(expires_at);
        self.states.push(delivery.beginning.state());
        self.reasons.push(delivery.beginning.reason());
        self.waits_until.push(waits_until);
        self.quiet_rules.push(delivery.quiet_rule.as_ref());
        self.waits_for_room.push(matches!(delivery.beginning, Beginning::WaitingForRoom));
    }
}

/// waiting → what was decided now; returns the ids of the chunks. A delivery in another state is left alone. The
/// caller holds its lock.
pub async fn settle_waiting(
    conn: &mut PgConnection,
    id: DeliveryId,
    beginning: &Beginning<'_>,
) -> sqlx::Result<Vec<ChunkId>> {
    match beginning {
        Beginning::Waiting => {
            wait_for_inbound(conn, id).await?;
            Ok(Vec::new())
        }
        Beginning::WaitingForRoom => {
            wait_for_room(conn, id).await?;
            Ok(Vec::new())
        }
        Beginning::WaitingUntil { end, expires_at } => {
            wait_on(conn, id, *end, *expires_at).await?;
            Ok(Vec::new())
        }
        Beginning::Expired | Beginning::Blocked(_) => {
            end_waiting(conn, id, beginning.state(), beginning.reason().unwrap_or_default()).await?;
            Ok(Vec::new())
        }
        Beginning::Open(opening) => {
            sqlx::query(
                "UPDATE channel_deliveries SET state = 'open', address_id = $2, link_id = $3, period_start = $4, waits_for_inbound = FALSE,
                     waits_for_room = FALSE
                 WHERE id = $1 AND state = 'waiting'",
            )
            .bind(id)
            .bind(opening.address_id)
            .bind(opening.link_id)
            .bind(opening.period_start)
            .execute(&mut *conn)
            .await?;
            Ok(planned_chunks::add(conn, &[(id, &opening.chunks)]).await?.remove(0))
        }
    }
}

/// What has waited for something else waits for a place among the people of a day.
async fn wait_for_room(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_deliveries SET waits_for_room = TRUE, waits_for_inbound = FALSE, waits_until = NULL WHERE id = $1 AND state = 'waiting'",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(())
}

/// What has waited for something else waits for the person's next message.
async fn wait_for_inbound(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_deliveries SET waits_for_inbound = TRUE, waits_for_room = FALSE WHERE id = $1 AND state = 'waiting'")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}

/// A delivery that waits waits for the end of quiet hours at this moment, and expires at another one.
async fn wait_on(
    conn: &mut PgConnection,
    id: DeliveryId,
    end: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_deliveries SET waits_for_inbound = FALSE, waits_for_room = FALSE, waits_until = $2, expires_at = $3 WHERE id = $1 AND state = 'waiting'",
    )
    .bind(id)
    .bind(end)
    .bind(expires_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// waiting → an end without a chunk: blocked, expired or cancelled. False: it waits no more.
pub async fn end_waiting(
    conn: &mut PgConnection,
    id: DeliveryId,
    state: DeliveryState,
    reason: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_deliveries SET state = $2, reason = $3, closed_at = clock_timestamp(), waits_for_inbound = FALSE, waits_for_room = FALSE WHERE id = $1 AND state = 'waiting'",
    )
    .bind(id)
    .bind(state)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Blocks what waits for a user whom nothing can be sent to: the number is somebody else's now, or the user is in another cell.
pub async fn block_waiting(
    conn: &mut PgConnection,
    user_id: &UserId,
    obstacle: Obstacle,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_deliveries SET state = 'blocked', reason = $2, closed_at = clock_timestamp(), waits_for_inbound = FALSE, waits_for_room = FALSE
         WHERE user_id = $1 AND state = 'waiting'",
    )
    .bind(user_id)
    .bind(obstacle)
    .execute(conn)
    .await?;
    Ok(())
}

/// Deliveries that are ended at once.
const EXPIRED_AT_ONCE: usize = 500;

/// Ends what has waited for too long, page by page. Returns how many.
pub async fn expire_waiting(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let mut expired = 0;
    loop {
        let due: Vec<DeliveryId> = sqlx::query_scalar(
            "SELECT id FROM channel_deliveries WHERE state = 'waiting' AND expires_at <= now() ORDER BY expires_at LIMIT 500",
        )
        .fetch_all(&mut *conn)
        .await?;
        let ended = expire(conn, &due).await?;
        expired += ended;
        // What is locked is being planned, which ends it, too.
        if ended == 0 || due.len() < EXPIRED_AT_ONCE {
            return Ok(expired);
        }
    }
}

/// waiting → expired, for what it waited for. What somebody else has locked, or what may still wait, is left alone. Returns how many have ended.
pub async fn expire(conn: &mut PgConnection, ids: &[DeliveryId]) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "UPDATE channel_deliveries SET state = 'expired', closed_at = clock_timestamp(), waits_for_inbound = FALSE, waits_for_room = FALSE,
             reason = CASE WHEN waits_for_inbound THEN 'the person did not write in time' WHEN waits_for_room THEN 'whatsapp.people_per_day had no room in time' ELSE 'it was not planned in time after the quiet hours' END
         WHERE id = ANY (ARRAY(SELECT id FROM channel_deliveries WHERE id = ANY ($1) AND state = 'waiting' AND expires_at <= clock_timestamp() ORDER BY id
                               FOR UPDATE SKIP LOCKED))",
    )
    .bind(ids)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// What waits for a user's next message, or for a place that such a message makes needless, the oldest first, locked.
pub async fn lock_waiting(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Vec<Delivery>> {
    sqlx::query_as(
        "SELECT id, user_id, address_id, purpose, text, content_sid, content_variables, state, reason, expires_at, waits_for_inbound, waits_until, quiet_rule,
                created_at, (SELECT c.delivery_id FROM channel_chunks c WHERE c.id = resent_from) AS resent_from
         FROM channel_deliveries WHERE user_id = $1 AND state = 'waiting' AND (waits_for_inbound OR waits_for_room) ORDER BY created_at, id FOR UPDATE",
    )
    .bind(user_id)
    .fetch_all(conn)
    .await
}
