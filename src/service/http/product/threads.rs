//! Tells open streams that something was said, or that a delivery of the thread has come to another state. Two queries serve all of them, and none is
//! made while nobody watches: a NOTIFY with every entry would make commits wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queue::connections::Connections;
use store::deliveries::DeliveryState;
use store::ids::{DeliveryId, UserId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often threads that are watched are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The threads that are watched, by their users; clones are the same thing.
#[derive(Clone)]
pub(crate) struct Threads {
    watched: Arc<Mutex<HashMap<UserId, Watched>>>,
    stop: CancellationToken,
}

/// What is new in a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The number of the last entry; `None`: nobody has looked yet.
    pub(super) length: Option<i64>,
    /// How often a delivery that is followed had come to another state.
    pub(super) changes: u64,
}

/// A thread that is watched.
struct Watched {
    news: watch::Sender<News>,
    /// Deliveries that are under way, as a stream has told them last.
    followed: HashMap<DeliveryId, DeliveryState>,
}

impl Default for Watched {
    fn default() -> Self {
        Self { news: watch::channel(News::default()).0, followed: HashMap::new() }
    }
}

impl Threads {
    /// Looks until `stop`.
    pub(crate) fn start(pg: Connections, stop: CancellationToken) -> Self {
        let threads = Self { watched: Arc::default(), stop: stop.clone() };
        let looking = threads.clone();
        tokio::spawn(async move {
            let mut rounds = tokio::time::interval(LOOK_EVERY);
            while stop.run_until_cancelled(rounds.tick()).await.is_some() {
                if let Err(error) = looking.look(&pg).await {
                    tracing::debug!("Could not look at the threads that are watched; trying again: {error}");
                }
            }
        });
        threads
    }

    /// What is new in a user's thread. It ends when the user is erased.
    pub(super) fn watch(&self, user_id: &UserId) -> watch::Receiver<News> {
        self.lock().entry(user_id.clone()).or_default().news.subscribe()
    }

    /// Has a delivery of a watched thread looked at until it is settled: a stream has told it in this state.
    pub(super) fn follow(&self, user_id: &UserId, id: DeliveryId, told: DeliveryState) {
        if let Some(watched) = self.lock().get_mut(user_id) {
            if is_settled(told) {
                watched.followed.remove(&id);
            } else {
                // If another stream has told a later state, the next look finds a change, which is this stream's news.
                watched.followed.insert(id, told);
            }
        }
    }

    /// Ends with the process: streams must not hold up its stop.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, pg: &Connections) -> sqlx::Result<()> {
        let (users, deliveries): (Vec<UserId>, Vec<DeliveryId>) = {
            let mut watched = self.lock();
            watched.retain(|_, thread| thread.news.receiver_count() > 0);
            let followed = watched.values().flat_map(|thread| thread.followed.keys().copied()).collect();
            (watched.keys().cloned().collect(), followed)
        };
        if users.is_empty() {
            return Ok(());
        }
        let mut conn = pg.acquire().await?;
        let lengths: HashMap<UserId, i64> =
            store::entries::lengths(&mut conn, &users).await?.into_iter().collect();
        let states = if deliveries.is_empty() {
            Vec::new()
        } else {
            store::deliveries::states(&mut conn, &deliveries).await?
        };
        let states: HashMap<DeliveryId, DeliveryState> =
            states.into_iter().map(|(id, state, _)| (id, state)).collect();
        let mut watched = self.lock();
        for user in users {
            match (lengths.get(&user), watched.get_mut(&user)) {
                (Some(length), Some(thread)) => thread.note(*length, &states),
                // The user was erased, and with the sender the streams end.
                (None, Some(_)) => drop(watched.remove(&user)),
                (_, None) => {}
            }
        }
        Ok(())
    }
}

impl Watched {
    fn note(&mut self, length: i64, states: &HashMap<DeliveryId, DeliveryState>) {
        let before = self.followed.len();
        // Whoever tells the new state follows it again.
        self.followed.retain(|id, told| states.get(id).is_none_or(|state| state == told));
        let changes = u64::from(self.followed.len() < before);
        self.news.send_if_modified(|news| {
            let now = News { length: Some(length), changes: news.changes + changes };
            std::mem::replace(news, now) != now
        });
    }
}

/// Whether a delivery stays as it is, as far as anybody knows.
fn is_settled(state: DeliveryState) -> bool {
    match state {
        DeliveryState::Waiting | DeliveryState::Open | DeliveryState::Sent | DeliveryState::Unknown => false,
        DeliveryState::Delivered
        | DeliveryState::Failed
        | DeliveryState::Cancelled
        | DeliveryState::Blocked
        | DeliveryState::Expired => true,
    }
}
