//! Tells open pages that something beside the thread has changed. One look a second serves all pages of this process, and none is made while no page is
//! open.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use queue::connections::Connections;
use serde::Deserialize;
use sqlx::PgConnection;
use store::dashboard_changes;
use store::ids::UserId;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Dashboard;
use super::entrance::Visitor;
use super::failure::Failed;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A stream ends after this, and the browser comes back: by then its session may have ended.
pub(super) const STREAM_LASTS: Duration = Duration::from_secs(15 * 60);

/// Streams that one user may have open at this process; a page has two.
const STREAMS_OF_USER: usize = 20;

/// Who watches whose page; clones are the same thing.
#[derive(Clone)]
pub(super) struct Changes {
    watched: Arc<Mutex<HashMap<UserId, watch::Sender<Option<u64>>>>>,
    stop: CancellationToken,
}

/// What stands on a user's page, as one number; `None`: the user is gone.
pub(super) async fn mark(conn: &mut PgConnection, user: &UserId) -> sqlx::Result<Option<u64>> {
    let marks = dashboard_changes::marks(conn, std::slice::from_ref(user)).await?;
    Ok(marks.get(user).map(|mark| number(mark)))
}

fn number(mark: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    mark.hash(&mut hasher);
    hasher.finish()
}

impl Changes {
    /// Looks until `stop`. Needs a tokio runtime.
    pub(super) fn start(pg: Connections, stop: CancellationToken) -> Self {
        let changes = Self { watched: Arc::default(), stop: stop.clone() };
        let looking = changes.clone();
        tokio::spawn(async move {
            let mut rounds = tokio::time::interval(LOOK_EVERY);
            rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stop.run_until_cancelled(rounds.tick()).await.is_some() {
                if let Err(error) = looking.look(&pg).await {
                    tracing::debug!("Could not look at what dashboards show; trying again: {error}");
                }
            }
        });
        changes
    }

    async fn look(&self, pg: &Connections) -> sqlx::Result<()> {
        let users: Vec<UserId> = {
            let mut watched = self.lock();
            watched.retain(|_, sender| sender.receiver_count() > 0);
            watched.keys().cloned().collect()
        };
        if users.is_empty() {
            return Ok(());
        }
        let marks = dashboard_changes::marks(&mut *pg.acquire().await?, &users).await?;
        let mut watched = self.lock();
        for user in users {
            match (marks.get(&user), watched.get(&user)) {
                (Some(mark), Some(sender)) => {
                    let now = Some(number(mark));
                    sender.send_if_modified(|known| std::mem::replace(known, now) != now);
                }
                // The user was erased, and with the sender the streams end.
                (None, _) => drop(watched.remove(&user)),
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// What changes on a user's page, and a place among the user's streams; `None`: all are taken.
    pub(super) fn watch(&self, user: &UserId) -> Option<watch::Receiver<Option<u64>>> {
        let mut watched = self.lock();
        let sender = watched.entry(user.clone()).or_insert_with(|| watch::channel(None).0);
        (sender.receiver_count() < STREAMS_OF_USER).then(|| sender.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, watch::Sender<Option<u64>>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the page shows already.
#[derive(Deserialize)]
pub(super) struct Seen {
    seen: Option<u64>,
}

/// A stream of `changed` events: the first one as soon as the page differs from what the browser has seen.
pub(super) async fn events(
    State(dashboard): State<Dashboard>,
    Extension(Visitor(user)): Extension<Visitor>,
    Query(Seen { seen }): Query<Seen>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failed> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let receiver = dashboard.changes.watch(&user).ok_or_else(Failed::too_many_pages)?;
    let (stop, end) = (dashboard.changes.stop, Instant::now() + STREAM_LASTS);
    let state = (receiver, last.or(seen));
    let changes = futures::stream::unfold(state, move |(mut receiver, seen)| {
        let stop = stop.clone();
        async move {
            loop {
                let now = *receiver.borrow_and_update();
                if let Some(now) = now.filter(|now| Some(*now) != seen) {
                    // An event without data is none to a browser.
                    let event = Event::default().event("changed").id(now.to_string()).data(now.to_string());
                    return Some((Ok(event), (receiver, Some(now))));
                }
                let changed = tokio::time::timeout_at(end, receiver.changed());
                stop.run_until_cancelled(changed).await?.ok()?.ok()?;
            }
        }
    });
    Ok(Sse::new(changes).keep_alive(KeepAlive::default()))
}
