//! Tells open streams that something was said. One query serves all of them, and none is made while nobody watches: a NOTIFY with every entry
//! would make commits wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use queue::connections::Connections;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often threads that are watched are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The threads that are watched, by their users; clones are the same thing.
#[derive(Clone)]
pub(crate) struct Threads {
    watched: Arc<Mutex<HashMap<String, watch::Sender<i64>>>>,
    stop: CancellationToken,
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

    /// The number of the last entry of a user's thread, as it grows.
    pub(super) fn watch(&self, user_id: &str) -> watch::Receiver<i64> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.entry(user_id.to_owned()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Ends with the process: streams must not hold up its stop.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    async fn look(&self, pg: &Connections) -> sqlx::Result<()> {
        let users: Vec<String> = {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.retain(|_, sender| sender.receiver_count() > 0);
            watched.keys().cloned().collect()
        };
        if users.is_empty() {
            return Ok(());
        }
        let lengths = store::entries::lengths(&mut *pg.acquire().await?, &users).await?;
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for (user, length) in lengths {
            if let Some(sender) = watched.get(&user) {
                sender.send_if_modified(|known| std::mem::replace(known, length) != length);
            }
        }
        Ok(())
    }
}
