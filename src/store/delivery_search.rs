//! Which deliveries an administrator means: the newest that fit, page by page.
//!
//! Each way to look for them is a statement that walks one index from its newest end. What that index does not know is judged row by row, among the
//! newest `LOOKED_AT` alone; where these were not enough, the page says where the next one goes on. So no page takes long, and none hides anything.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::clock;
use crate::deliveries::{DeliveryState, Purpose};
use crate::ids::{AddressId, ConversationId, DeliveryId, UserId};
use crate::statement_settings::walk_an_index;
use crate::text_enum::TextEnum as _;

/// Rows of an index that a page looks at: as many as are read and judged in some milliseconds.
pub const LOOKED_AT: i64 = 5_000;

/// Ids have the time of the process that made them, the rows that of the database: by so much the two may differ.
pub(crate) const CLOCKS_DIFFER: TimeDelta = TimeDelta::hours(1);

/// What is looked for; what is `None` or empty does not narrow.
#[derive(Clone, Debug, Default)]
pub struct DeliverySearch<'a> {
    /// WhoseDeliveries.
    pub whose: Option<WhoseDeliveries<'a>>,
    /// In one of these states.
    pub states: Vec<DeliveryState>,
    /// Sent for this.
    pub purpose: Option<Purpose>,
    /// The reason begins like this.
    pub reason: Option<&'a str>,
    /// A part of it has this code of Twilio's.
    pub error_code: Option<i32>,
    /// Planned at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Planned before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Older than this one.
    pub before: Option<DeliveryId>,
    /// So many at most.
    pub limit: i64,
}

/// WhoseDeliveries deliveries.
#[derive(Clone, Debug)]
pub enum WhoseDeliveries<'a> {
    /// A user's: what counts against the allowance, and what was said in the conversation, to each phone that the user had.
    User {
        /// WhoseDeliveries.
        id: &'a UserId,
        /// The user's thread, if there is one.
        conversation: Option<ConversationId>,
        /// The phones.
        addresses: Vec<AddressId>,
    },
    /// What went to these people.
    People(Vec<AddressId>),
}

/// A page of ids, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryPage {
    /// What fits.
    pub ids: Vec<DeliveryId>,
    /// `before` of the next page; `None`: there is none.
    pub next: Option<DeliveryId>,
}

/// An index that is walked.
#[derive(Clone, Copy, Debug)]
enum Walk<'a> {
    Everything,
    Code(i32),
    State(DeliveryState),
    User(&'a UserId),
    Thread(AddressId, ConversationId),
    Person(AddressId),
}

/// States that most deliveries end in, and that no index knows.
const USUAL: [DeliveryState; 2] = [DeliveryState::Sent, DeliveryState::Delivered];

/// States in which a delivery has a reason.
const WITH_REASON: [DeliveryState; 6] = [
    DeliveryState::Failed,
    DeliveryState::Cancelled,
    DeliveryState::Blocked,
    DeliveryState::Expired,
    DeliveryState::Unknown,
    DeliveryState::Waiting,
];

impl<'a> DeliverySearch<'a> {
    /// The indexes that together have all that fits, each once.
    fn walks(&self) -> Vec<Walk<'a>> {
        match &self.whose {
            Some(WhoseDeliveries::User { id, conversation, addresses }) => {
                let threads = conversation.iter().flat_map(|conversation| {
                    addresses.iter().map(|address| Walk::Thread(*address, *conversation))
                });
                std::iter::once(Walk::User(id)).chain(threads).collect()
            }
            Some(WhoseDeliveries::People(addresses)) => addresses.iter().copied().map(Walk::Person).collect(),
            None => match (self.error_code, self.states.as_slice(), self.reason) {
                (Some(code), ..) => vec![Walk::Code(code)],
                (None, [], Some(_)) => WITH_REASON.map(Walk::State).to_vec(),
                (None, [], None) => vec![Walk::Everything],
                // What was sent has no reason.
                (None, states, Some(_)) => {
                    let unusual = states.iter().filter(|state| !USUAL.contains(state));
                    unusual.copied().map(Walk::State).collect()
                }
                (None, states, None) if states.iter().any(|state| USUAL.contains(state)) => {
                    vec![Walk::Everything]
                }
                (None, states, _) => states.iter().copied().map(Walk::State).collect(),
            },
        }
    }
}

/// The newest deliveries that fit.
pub async fn page(conn: &mut PgConnection, search: &DeliverySearch<'_>) -> sqlx::Result<DeliveryPage> {
    let mut tx = conn.begin().await?;
    walk_an_index(&mut tx).await?;
    let page = walked(&mut tx, search).await?;
    tx.commit().await?;
    Ok(page)
}

async fn walked(conn: &mut PgConnection, search: &DeliverySearch<'_>) -> sqlx::Result<DeliveryPage> {
    let mut found = Vec::new();
    // Whatever is older than this may have been missed.
    let mut floor = None;
    for walk in search.walks() {
        for (id, fits, is_end) in one_walk(conn, search, walk).await? {
            if fits {
                found.push(id);
            }
            if is_end {
                floor = floor.max(Some(id));
            }
        }
    }
    found.sort_unstable_by(|one: &DeliveryId, other| other.cmp(one));
    found.dedup();
    found.retain(|id| floor.is_none_or(|floor| *id >= floor));
    let limit = usize::try_from(search.limit).unwrap_or(0);
    let next = if found.len() > limit { found.get(limit.saturating_sub(1)).copied() } else { floor };
    found.truncate(limit);
    Ok(DeliveryPage { ids: found, next })
}

/// What one index has, at most one more than the limit: ids, whether they fit, and whether the walk ended there before the index did.
async fn one_walk(
    conn: &mut PgConnection,
    search: &DeliverySearch<'_>,
    walk: Walk<'_>,
) -> sqlx::Result<Vec<(DeliveryId, bool, bool)>> {
    let question = match walk {
        Walk::Everything => {
            "SELECT id, fits, place = $3 AS is_end FROM (
                 SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                        state = ANY ($5) AND purpose = ANY ($6) AND coalesce(reason, '') LIKE $7 AND created_at >= $8 AND created_at < $9 AS fits
                 FROM (SELECT id, state, purpose, reason, created_at FROM channel_deliveries WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3) AS newest
             ) AS judged WHERE fits OR place = $3 ORDER BY id DESC LIMIT $4"
        }
        Walk::State(_) => {
            "SELECT id, fits, place = $3 AS is_end FROM (
                 SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                        state = ANY ($5) AND purpose = ANY ($6) AND coalesce(reason, '') LIKE $7 AND created_at >= $8 AND created_at < $9 AS fits
                 FROM (SELECT id, state, purpose, reason, created_at FROM channel_deliveries
                       WHERE state = $10 AND state NOT IN ('sent', 'delivered') AND id < $1 AND id >= $2 ORDER BY state DESC, id DESC LIMIT $3) AS newest
             ) AS judged WHERE fits OR place = $3 ORDER BY id DESC LIMIT $4"
        }
        Walk::Code(_) => {
            "SELECT id, fits, place = $3 AS is_end FROM (
                 SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                        state = ANY ($5) AND purpose = ANY ($6) AND coalesce(reason, '') LIKE $7 AND created_at >= $8 AND created_at < $9 AS fits
                 FROM (SELECT c.delivery_id AS id, d.state, d.purpose, d.reason, d.created_at
                       FROM (SELECT DISTINCT delivery_id FROM channel_chunks
                             WHERE error_code = $10 AND delivery_id < $1 AND delivery_id >= $2 ORDER BY delivery_id DESC LIMIT $3) AS c
                       CROSS JOIN LATERAL (SELECT * FROM channel_deliveries WHERE id = c.delivery_id OFFSET 0) AS d
                       ORDER BY c.delivery_id DESC) AS newest
             ) AS judged WHERE fits OR place = $3 ORDER BY id DESC LIMIT $4"
        }
        Walk::User(_) => {
            "SELECT id, fits, place = $3 AS is_end FROM (
                 SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                        state = ANY ($5) AND purpose = ANY ($6) AND coalesce(reason, '') LIKE $7 AND created_at >= $8 AND created_at < $9
                          AND CASE WHEN $10 = 0 THEN TRUE
                                   ELSE EXISTS (SELECT FROM channel_chunks c WHERE c.delivery_id = newest.id AND c.error_code = $10) END AS fits
                 FROM (SELECT id, state, purpose, reason, created_at FROM channel_deliveries
                       WHERE user_id = $11 AND id < $1 AND id >= $2 ORDER BY user_id DESC, id DESC LIMIT $3) AS newest
             ) AS judged WHERE fits OR place = $3 ORDER BY id DESC LIMIT $4"
        }
        Walk::Thread(..) => {
            "SELECT id, fits, place = $3 AS is_end FROM (
                 SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                        state = ANY ($5) AND purpose = ANY ($6) AND coalesce(reason, '') LIKE $7 AND created_at >= $8 AND created_at < $9
                          AND conversation_id = $12 AND user_id IS NULL
                          AND CASE WHEN $10 = 0 THEN TRUE
                                   ELSE EXISTS (SELECT FROM channel_chunks c WHERE c.delivery_id = newest.id AND c.error_code = $10) END AS fits
                 FROM (SELECT id, state, purpose, reason, created_at, conversation_id, user_id FROM channel_deliveries
                       WHERE address_id = $11 AND id < $1 AND id >= $2 ORDER BY address_id DESC, id DESC LIMIT $3) AS newest
             ) AS judged WHERE fits OR place = $3 ORDER BY id DESC LIMIT $4"
        }
        Walk::Person(_) => {
            "SELECT id, fits, place = $3 AS is_end FROM (
                 SELECT id, row_number() OVER (ORDER BY id DESC) AS place,
                        state = ANY ($5) AND purpose = ANY ($6) AND coalesce(reason, '') LIKE $7 AND created_at >= $8 AND created_at < $9
                          AND CASE WHEN $10 = 0 THEN TRUE
                                   ELSE EXISTS (SELECT FROM channel_chunks c WHERE c.delivery_id = newest.id AND c.error_code = $10) END AS fits
                 FROM (SELECT id, state, purpose, reason, created_at FROM channel_deliveries
                       WHERE address_id = $11 AND id < $1 AND id >= $2 ORDER BY address_id DESC, id DESC LIMIT $3) AS newest
             ) AS judged WHERE fits OR place = $3 ORDER BY id DESC LIMIT $4"
        }
    };
    let states: Vec<&str> = search.states.iter().map(|state| state.as_str()).collect();
    let states = if states.is_empty() { DeliveryState::TEXTS } else { &states };
    let purpose = search.purpose.map(Purpose::as_str);
    let purposes = purpose.as_ref().map_or(Purpose::TEXTS, std::slice::from_ref);
    let asked = sqlx::query_as(question)
        .bind(newest(search))
        .bind(search.since.map_or(Uuid::nil(), |since| of_moment(since - CLOCKS_DIFFER)))
        .bind(LOOKED_AT)
        .bind(search.limit + 1)
        .bind(states)
        .bind(purposes)
        .bind(format!("{}%", literally(search.reason.unwrap_or_default())))
        .bind(search.since.unwrap_or(DateTime::UNIX_EPOCH))
        .bind(search.until.unwrap_or(clock::FAR_OFF));
    let code = search.error_code.unwrap_or(0);
    match walk {
        Walk::Everything => asked,
        Walk::State(state) => asked.bind(state),
        Walk::Code(code) => asked.bind(code),
        Walk::User(id) => asked.bind(code).bind(id),
        Walk::Thread(address, conversation) => asked.bind(code).bind(address).bind(conversation),
        Walk::Person(address) => asked.bind(code).bind(address),
    }
    .fetch_all(conn)
    .await
}

/// The end of the ids that are looked at.
fn newest(search: &DeliverySearch<'_>) -> Uuid {
    let until = search.until.map_or(Uuid::max(), |until| of_moment(until + CLOCKS_DIFFER));
    search.before.map_or(until, |before| before.0.min(until))
}

/// The first id of a moment.
pub(crate) fn of_moment(moment: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(moment.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// A text for LIKE that means itself.
fn literally(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}
