//! A stream's place in a thread: what it has told, and what comes next.

use std::collections::{HashMap, VecDeque};

use store::deliveries::DeliveryState;
use store::entries::{self, EntryDelivery, ThreadEntry};
use store::ids::{DeliveryId, UserId};
use tokio::sync::watch;

use super::Product;
use super::threads::News;

/// How many entries are read at a time.
const PAGE: i64 = 100;

/// Whoever comes back is told again how the deliveries of so many entries stand, and no older ones are followed.
const FOLLOWED: usize = 50;

/// What a stream tells.
pub(crate) enum StreamEvent {
    /// Something was said.
    Entry(ThreadEntry),
    /// The delivery of an entry stands so.
    Delivery(EntryDelivery),
}

/// A stream's place in a thread. One that lies behind the thread's end has seen what the database has forgotten since, as after a failover to a
/// standby that lagged, and goes on from the end: what comes next gets the same numbers again.
pub(crate) struct ThreadStream {
    product: Product,
    user_id: UserId,
    news: watch::Receiver<News>,
    /// The last entry that was told.
    pub(crate) seen: i64,
    unsent: VecDeque<StreamEvent>,
    /// The latest deliveries, in the state in which they were told.
    told: VecDeque<(i64, DeliveryId, DeliveryState)>,
    has_begun: bool,
}

impl ThreadStream {
    /// A stream that goes on behind an entry.
    pub(crate) fn new(product: Product, user_id: UserId, seen: i64) -> Self {
        // Before the first look, so that nothing falls between.
        let news = product.threads.watch(&user_id);
        let (unsent, told) = (VecDeque::new(), VecDeque::new());
        Self { product, user_id, news, seen, unsent, told, has_begun: false }
    }

    /// The next event; `None`: the process stops, and the client comes back to another one, or the user was erased.
    pub(crate) async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            if let Some(event) = self.unsent.pop_front() {
                self.note(&event);
                return Some(event);
            }
            self.news.mark_unchanged();
            match self.look().await {
                Ok(found) if !found.is_empty() => self.unsent = found.into(),
                Ok(_) => {
                    let changed = self.news.changed();
                    self.product.threads.stop().clone().run_until_cancelled(changed).await?.ok()?;
                    if let Some(length) = self.news.borrow().length {
                        self.seen = self.seen.min(length);
                    }
                }
                Err(error) => {
                    tracing::debug!("A stream could not be read and ends: {error}");
                    return None;
                }
            }
        }
    }

    async fn look(&mut self) -> sqlx::Result<Vec<StreamEvent>> {
        let mut conn = self.product.pg.acquire().await?;
        if !std::mem::replace(&mut self.has_begun, true) && self.seen > 0 {
            // What has changed since it was read is told, and what has not is told once more.
            let limit = i64::try_from(FOLLOWED).unwrap_or(i64::MAX);
            let stand = entries::deliveries_until(&mut conn, &self.user_id, self.seen, limit).await?;
            if !stand.is_empty() {
                return Ok(stand.into_iter().map(StreamEvent::Delivery).collect());
            }
        }
        let said = entries::after(&mut conn, &self.user_id, self.seen, PAGE).await?;
        if !said.is_empty() {
            return Ok(said.into_iter().map(StreamEvent::Entry).collect());
        }
        let ids: Vec<DeliveryId> = self.told.iter().map(|(_, id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let states = store::deliveries::states(&mut conn, &ids).await?;
        let mut states: HashMap<_, _> =
            states.into_iter().map(|(id, state, reason)| (id, (state, reason))).collect();
        let changed = self.told.iter().filter_map(|(number, id, told)| {
            let (state, reason) = states.remove(id).filter(|(state, _)| state != told)?;
            Some(StreamEvent::Delivery(EntryDelivery { number: *number, id: *id, state, reason }))
        });
        Ok(changed.collect())
    }

    /// Remembers what is told, and has it followed.
    fn note(&mut self, event: &StreamEvent) {
        let (number, delivery) = match event {
            StreamEvent::Entry(entry) => {
                self.seen = entry.number;
                (entry.number, entry.delivery_id.zip(entry.delivery_state))
            }
            StreamEvent::Delivery(delivery) => (delivery.number, Some((delivery.id, delivery.state))),
        };
        let Some((id, state)) = delivery else { return };
        match self.told.iter_mut().find(|(_, told, _)| *told == id) {
            Some((_, _, told)) => *told = state,
            None => self.told.push_back((number, id, state)),
        }
        if self.told.len() > FOLLOWED {
            self.told.pop_front();
        }
        self.product.threads.follow(&self.user_id, id, state);
    }
}
