//! Which chunks an administrator means: the newest that fit, page by page, as [`crate::delivery_search`] does it for deliveries.
//!
//! They stand in the order of their deliveries' planning and of their place in the delivery, which no two chunks share. What the index of a walk does
//! not know is judged row by row, among the newest `LOOKED_AT` alone; then the page says where the next one goes on.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::chunk_place::ChunkPlace;
use crate::chunks::ChunkState;
use crate::clock;
use crate::deliveries::DeliveryState;
use crate::delivery_search::{CLOCKS_DIFFER, LOOKED_AT, WhoseDeliveries, of_moment};
use crate::ids::{AddressId, ChunkId, ConversationId, DeliveryId, UserId};
use crate::statement_settings::walk_an_index;
use crate::text_enum::TextEnum as _;

/// Deliveries of one person whose chunks a page looks up one by one.
const LOOKED_UP: i64 = 4_000;

/// What is looked for; what is `None` does not narrow.
#[derive(Clone, Debug, Default)]
pub struct ChunkSearch<'a> {
    /// Of whose deliveries.
    pub whose: Option<WhoseDeliveries<'a>>,
    /// In this state.
    pub state: Option<ChunkState>,
    /// With this code of Twilio's.
    pub error_code: Option<i32>,
    /// Planned at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Planned before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Older than this one.
    pub before: Option<ChunkPlace>,
    /// So many at most.
    pub limit: i64,
}

/// A page of chunks, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkPage {
    /// What fits.
    pub ids: Vec<ChunkId>,
    /// `before` of the next page; `None`: there is none.
    pub next: Option<ChunkPlace>,
}

/// An index that is walked.
#[derive(Clone, Copy, Debug)]
enum Walk<'a> {
    Everything,
    Code(i32),
    /// One of the states that few chunks end in.
    State(ChunkState),
    /// Of deliveries that are not finished: what is still to be sent.
    Open,
    User(&'a UserId),
    Thread(AddressId, ConversationId),
    Person(AddressId),
}

impl<'a> ChunkSearch<'a> {
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
            None => vec![match (self.error_code, self.state) {
                (Some(code), _) => Walk::Code(code),
                (None, Some(ChunkState::Planned | ChunkState::Sending)) => Walk::Open,
                (
                    None,
                    None
                    | Some(ChunkState::Accepted | ChunkState::Sent | ChunkState::Delivered | ChunkState::Read),
                ) => Walk::Everything,
                (None, Some(state)) => Walk::State(state),
            }],
        }
    }

    /// The states of deliveries that may have such a chunk, as [`crate::deliveries::follow_chunks`] has them.
    fn delivery_states(&self) -> &'static [DeliveryState] {
        // From the one that tells of the worst chunk to the one that tells of the best.
        const WORST_FIRST: [DeliveryState; 9] = [
            DeliveryState::Open,
            DeliveryState::Waiting,
            DeliveryState::Failed,
            DeliveryState::Unknown,
            DeliveryState::Expired,
            DeliveryState::Blocked,
            DeliveryState::Cancelled,
            DeliveryState::Sent,
            DeliveryState::Delivered,
        ];
        match self.state {
            Some(ChunkState::Planned | ChunkState::Sending) => &WORST_FIRST[..1],
            Some(ChunkState::Failed) => &WORST_FIRST[..3],
            Some(ChunkState::Unknown) => &WORST_FIRST[..4],
            Some(ChunkState::Expired) => &WORST_FIRST[..5],
            Some(ChunkState::Blocked) => &WORST_FIRST[..6],
            Some(ChunkState::Cancelled) => &WORST_FIRST[..7],
            Some(ChunkState::Accepted | ChunkState::Sent) => &WORST_FIRST[..8],
            Some(ChunkState::Delivered | ChunkState::Read) | None => &WORST_FIRST,
        }
    }

    /// How many rows of a walk's index a page looks at.
    fn looked_at(&self, walk: Walk<'_>) -> i64 {
        let is_of_one = matches!(walk, Walk::User(_) | Walk::Thread(..) | Walk::Person(_));
        let has_usual = self.delivery_states().contains(&DeliveryState::Sent);
        if is_of_one && has_usual && self.error_code.is_none() { LOOKED_UP } else { LOOKED_AT }
    }

    /// The end of the places that are looked at.
    fn newest(&self) -> ChunkPlace {
        let until = self.until.map_or(Uuid::max(), |until| of_moment(until + CLOCKS_DIFFER));
        let until = ChunkPlace { delivery: DeliveryId(until), index: 0 };
        self.before.map_or(until, |before| before.min(until))
    }
}

/// A row of a walk.
#[derive(Debug, sqlx::FromRow)]
struct Walked {
    /// `None`: the delivery has no chunk.
    id: Option<ChunkId>,
    delivery_id: DeliveryId,
    index: Option<i32>,
    fits: bool,
    /// The walk ended at this delivery, and its index did not.
    is_end: bool,
}

/// The newest chunks that fit.
pub async fn page(conn: &mut PgConnection, search: &ChunkSearch<'_>) -> sqlx::Result<ChunkPage> {
    let mut tx = conn.begin().await?;
    walk_an_index(&mut tx).await?;
    let page = walked(&mut tx, search).await?;
    tx.commit().await?;
    Ok(page)
}

async fn walked(conn: &mut PgConnection, search: &ChunkSearch<'_>) -> sqlx::Result<ChunkPage> {
    let mut found = Vec::new();
    // Whatever is older than this may have been missed.
    let mut floor = None;
    for walk in search.walks() {
        let mut end = None;
        for row in one_walk(conn, search, walk).await? {
            let place = ChunkPlace { delivery: row.delivery_id, index: row.index.unwrap_or(0) };
            found.extend(row.id.filter(|_| row.fits).map(|id| (place, id)));
            if row.is_end {
                end = Some(end.map_or(place, |end: ChunkPlace| end.min(place)));
            }
        }
        floor = floor.max(end);
    }
    found.sort_unstable_by(|one: &(ChunkPlace, ChunkId), other| other.cmp(one));
    found.dedup();
    found.retain(|(place, _)| floor.is_none_or(|floor| *place >= floor));
    let limit = usize::try_from(search.limit).unwrap_or(0);
    let last = found.get(limit.saturating_sub(1)).map(|(place, _)| *place);
    let next = if found.len() > limit { last } else { floor };
    found.truncate(limit);
    Ok(ChunkPage { ids: found.into_iter().map(|(_, id)| id).collect(), next })
}

/// What one index has, the newest first, at most one more than the limit. Where deliveries are walked, a loop finds the chunks of each in their order, so
/// nothing is sorted; those of a person are only looked up where the delivery's state and the index of codes leave it open whether one fits.
async fn one_walk(
    conn: &mut PgConnection,
    search: &ChunkSearch<'_>,
    walk: Walk<'_>,
) -> sqlx::Result<Vec<Walked>> {
    let question = match walk {
        Walk::Everything => {
            "SELECT id, delivery_id, index, fits, place = $4 AS is_end FROM (
                 SELECT id, delivery_id, index, row_number() OVER (ORDER BY delivery_id DESC, index DESC) AS place,
                        CASE WHEN state = ANY ($6) AND ($7 = 0 OR error_code = $7)
                             THEN EXISTS (SELECT FROM channel_deliveries d WHERE d.id = newest.delivery_id AND d.created_at >= $8 AND d.created_at < $9 OFFSET 0) ELSE FALSE END AS fits
                 FROM (SELECT id, delivery_id, index, state, error_code FROM channel_chunks
                       WHERE (delivery_id, index) < ($1, $2) AND delivery_id <= $1 AND delivery_id >= $3 ORDER BY delivery_id DESC, index DESC LIMIT $4) AS newest
             ) AS judged WHERE fits OR place = $4 ORDER BY delivery_id DESC, index DESC LIMIT $5"
        }
        Walk::State(_) => {
            "SELECT id, delivery_id, index, fits, place = $4 AS is_end FROM (
                 SELECT id, delivery_id, index, row_number() OVER (ORDER BY delivery_id DESC, index DESC) AS place,
                        CASE WHEN state = ANY ($6) AND ($7 = 0 OR error_code = $7)
                             THEN EXISTS (SELECT FROM channel_deliveries d WHERE d.id = newest.delivery_id AND d.created_at >= $8 AND d.created_at < $9 OFFSET 0) ELSE FALSE END AS fits
                 FROM (SELECT id, delivery_id, index, state, error_code FROM channel_chunks
                       WHERE state = $10 AND state IN ('failed', 'cancelled', 'blocked', 'expired', 'unknown') AND (delivery_id, index) < ($1, $2) AND delivery_id <= $1 AND delivery_id >= $3
                       ORDER BY state DESC, delivery_id DESC, index DESC LIMIT $4) AS newest
             ) AS judged WHERE fits OR place = $4 ORDER BY delivery_id DESC, index DESC LIMIT $5"
        }
        Walk::Code(_) => {
            "SELECT id, delivery_id, index, fits, place = $4 AS is_end FROM (
                 SELECT id, delivery_id, index, row_number() OVER (ORDER BY delivery_id DESC, index DESC) AS place,
                        CASE WHEN state = ANY ($6) AND ($7 = 0 OR error_code = $7)
                             THEN EXISTS (SELECT FROM channel_deliveries d WHERE d.id = newest.delivery_id AND d.created_at >= $8 AND d.created_at < $9 OFFSET 0) ELSE FALSE END AS fits
                 FROM (SELECT id, delivery_id, index, state, error_code FROM channel_chunks
                       WHERE error_code = $10 AND (delivery_id, index) < ($1, $2) AND delivery_id <= $1 AND delivery_id >= $3
                       ORDER BY error_code DESC, delivery_id DESC, index DESC LIMIT $4) AS newest
             ) AS judged WHERE fits OR place = $4 ORDER BY delivery_id DESC, index DESC LIMIT $5"
        }
        Walk::Open => {
            "SELECT id, delivery_id, index, fits, place = $4 AS is_end FROM (
                 SELECT c.id, d.id AS delivery_id, c.index, d.place,
                        coalesce(c.state = ANY ($6) AND ($7 = 0 OR c.error_code = $7) AND d.created_at >= $8 AND d.created_at < $9, FALSE) AS fits
                 FROM (SELECT id, created_at, row_number() OVER (ORDER BY id DESC) AS place
                       FROM (SELECT id, created_at FROM channel_deliveries
                             WHERE state = 'open' AND state NOT IN ('sent', 'delivered') AND id <= $1 AND id >= $3 ORDER BY state DESC, id DESC LIMIT $4) AS newest) AS d
                 LEFT JOIN LATERAL (SELECT * FROM channel_chunks WHERE delivery_id = d.id AND (d.id < $1 OR index < $2) ORDER BY index DESC OFFSET 0) AS c ON TRUE
             ) AS judged WHERE fits OR place = $4 ORDER BY delivery_id DESC LIMIT $5"
        }
        Walk::User(_) => {
            "SELECT id, delivery_id, index, fits, place = $4 AS is_end FROM (
                 SELECT c.id, d.id AS delivery_id, c.index, d.place,
                        coalesce(c.state = ANY ($6) AND ($7 = 0 OR c.error_code = $7) AND d.created_at >= $8 AND d.created_at < $9, FALSE) AS fits
                 FROM (SELECT id, state, created_at, row_number() OVER (ORDER BY id DESC) AS place
                       FROM (SELECT id, state, created_at FROM channel_deliveries
                             WHERE user_id = $10 AND id <= $1 AND id >= $3 ORDER BY user_id DESC, id DESC LIMIT $4) AS newest) AS d
                 LEFT JOIN LATERAL (
                     SELECT * FROM channel_chunks WHERE d.state = ANY ($11) AND CASE WHEN $7 = 0 THEN TRUE ELSE EXISTS (SELECT FROM channel_chunks e WHERE e.error_code = $7 AND e.delivery_id = d.id) END
                       AND delivery_id = d.id AND (d.id < $1 OR index < $2) ORDER BY index DESC OFFSET 0) AS c ON TRUE
             ) AS judged WHERE fits OR place = $4 ORDER BY delivery_id DESC LIMIT $5"
        }
        Walk::Thread(..) => {
            "SELECT id, delivery_id, index, fits, place = $4 AS is_end FROM (
                 SELECT c.id, d.id AS delivery_id, c.index, d.place,
                        coalesce(c.state = ANY ($6) AND ($7 = 0 OR c.error_code = $7) AND d.created_at >= $8 AND d.created_at < $9
                                 AND d.conversation_id = $11 AND d.user_id IS NULL, FALSE) AS fits
                 FROM (SELECT id, state, created_at, conversation_id, user_id, row_number() OVER (ORDER BY id DESC) AS place
                       FROM (SELECT id, state, created_at, conversation_id, user_id FROM channel_deliveries
                             WHERE address_id = $10 AND id <= $1 AND id >= $3 ORDER BY address_id DESC, id DESC LIMIT $4) AS newest) AS d
                 LEFT JOIN LATERAL (
                     SELECT * FROM channel_chunks WHERE d.state = ANY ($12) AND CASE WHEN $7 = 0 THEN TRUE ELSE EXISTS (SELECT FROM channel_chunks e WHERE e.error_code = $7 AND e.delivery_id = d.id) END
                       AND delivery_id = d.id AND (d.id < $1 OR index < $2) ORDER BY index DESC OFFSET 0) AS c ON TRUE
             ) AS judged WHERE fits OR place = $4 ORDER BY delivery_id DESC LIMIT $5"
        }
        Walk::Person(_) => {
            "SELECT id, delivery_id, index, fits, place = $4 AS is_end FROM (
                 SELECT c.id, d.id AS delivery_id, c.index, d.place,
                        coalesce(c.state = ANY ($6) AND ($7 = 0 OR c.error_code = $7) AND d.created_at >= $8 AND d.created_at < $9, FALSE) AS fits
                 FROM (SELECT id, state, created_at, row_number() OVER (ORDER BY id DESC) AS place
                       FROM (SELECT id, state, created_at FROM channel_deliveries
                             WHERE address_id = $10 AND id <= $1 AND id >= $3 ORDER BY address_id DESC, id DESC LIMIT $4) AS newest) AS d
                 LEFT JOIN LATERAL (
                     SELECT * FROM channel_chunks WHERE d.state = ANY ($11) AND CASE WHEN $7 = 0 THEN TRUE ELSE EXISTS (SELECT FROM channel_chunks e WHERE e.error_code = $7 AND e.delivery_id = d.id) END
                       AND delivery_id = d.id AND (d.id < $1 OR index < $2) ORDER BY index DESC OFFSET 0) AS c ON TRUE
             ) AS judged WHERE fits OR place = $4 ORDER BY delivery_id DESC LIMIT $5"
        }
    };
    let state = search.state.map(ChunkState::as_str);
    let states = state.as_ref().map_or(ChunkState::TEXTS, std::slice::from_ref);
    let deliveries: Vec<&str> = search.delivery_states().iter().map(|state| state.as_str()).collect();
    let newest = search.newest();
    let asked = sqlx::query_as(question)
        .bind(newest.delivery)
        .bind(newest.index)
        .bind(search.since.map_or(Uuid::nil(), |since| of_moment(since - CLOCKS_DIFFER)))
        .bind(search.looked_at(walk))
        .bind(search.limit + 1)
        .bind(states)
        .bind(search.error_code.unwrap_or(0))
        .bind(search.since.unwrap_or(DateTime::UNIX_EPOCH))
        .bind(search.until.unwrap_or(clock::FAR_OFF));
    match walk {
        Walk::Everything | Walk::Open => asked,
        Walk::State(state) => asked.bind(state),
        Walk::Code(code) => asked.bind(code),
        Walk::User(id) => asked.bind(id).bind(deliveries),
        Walk::Thread(address, conversation) => asked.bind(address).bind(conversation).bind(deliveries),
        Walk::Person(address) => asked.bind(address).bind(deliveries),
    }
    .fetch_all(conn)
    .await
}
