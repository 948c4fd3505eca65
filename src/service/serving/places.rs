//! The places that an address has for connections. When all are taken, a newcomer gets the place of the client that we have waited for longest:
//! an honest client sends its request at once, so whoever floods an address closes connections of his own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ConnectionLimits;
use super::progress::Progress;

/// While every client waits for us, how often we look whether we wait for one of them.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The places of one address; clones are the same ones.
#[derive(Clone)]
pub(super) struct Places(Arc<Inner>);

struct Inner {
    limits: ConnectionLimits,
    taken: Mutex<Taken>,
    /// What has come of all bodies.
    bodies_bytes: AtomicUsize,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    next_id: u64,
    by_id: HashMap<u64, Occupant>,
}

struct Occupant {
    progress: Progress,
    evicted: CancellationToken,
}

/// A place for one connection, until it is dropped.
pub(super) struct ConnectionPlace {
    places: Places,
    id: u64,
    /// What the connection in it is doing.
    pub(super) progress: Progress,
    /// A newcomer needs the place.
    pub(super) evicted: CancellationToken,
}

impl Places {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        let (taken, bodies_bytes, freed) = (Mutex::default(), AtomicUsize::new(0), Notify::new());
        Self(Arc::new(Inner { limits, taken, bodies_bytes, freed }))
    }

    /// A place for a newcomer, for which another connection may have to go.
    pub(super) async fn take(&self) -> ConnectionPlace {
        loop {
            if let Some(place) = self.take_free() {
                return place;
            }
            self.evict_longest();
            tokio::select! {
                () = self.0.freed.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Closes the connection of the client that we have waited for longest, if we wait for any.
    pub(super) fn evict_longest(&self) {
        self.evict(Progress::waiting_since);
    }

    fn evict(&self, waiting_since: impl Fn(&Progress) -> Option<Instant>) {
        let taken = self.taken();
        let staying = taken.by_id.values().filter(|occupant| !occupant.evicted.is_cancelled());
        let waited = staying.filter_map(|occupant| Some((waiting_since(&occupant.progress)?, occupant)));
        if let Some((_, longest)) = waited.min_by_key(|(since, _)| *since) {
            longest.evicted.cancel();
        }
    }

    /// Waits until every place is free.
    pub(super) async fn all_free(&self) {
        while !self.taken().by_id.is_empty() {
            self.0.freed.notified().await;
        }
    }

    /// How many clients we wait for.
    #[cfg(test)]
    pub(super) fn evictable(&self) -> usize {
        self.taken().by_id.values().filter(|occupant| occupant.progress.waiting_since().is_some()).count()
    }

    /// How many connections have no request under way.
    #[cfg(test)]
    pub(super) fn silent(&self) -> usize {
        self.taken().by_id.values().filter(|occupant| occupant.progress.is_silent()).count()
    }

    fn take_free(&self) -> Option<ConnectionPlace> {
        let mut taken = self.taken();
        if taken.by_id.len() >= self.0.limits.connections {
            return None;
        }
        let id = taken.next_id;
        taken.next_id += 1;
        let (progress, evicted) = (Progress::new(), CancellationToken::new());
        taken.by_id.insert(id, Occupant { progress: progress.clone(), evicted: evicted.clone() });
        Some(ConnectionPlace { places: self.clone(), id, progress, evicted })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPlace {
    /// The account of a body in this place.
    pub(super) fn body(&self) -> BodyAccount {
        BodyAccount { places: self.places.clone(), bytes: 0 }
    }
}

/// What has come of a body, until the account is dropped.
pub(super) struct BodyAccount {
    places: Places,
    bytes: usize,
}

impl BodyAccount {
    /// More has come. Where all bodies together are too much, the one that we have waited for longest is given up.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        let all = self.places.0.bodies_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > self.places.0.limits.all_bodies_bytes {
            self.places.evict(Progress::body_waited_since);
        }
    }
}

impl Drop for BodyAccount {
    fn drop(&mut self) {
        self.places.0.bodies_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.places.taken().by_id.remove(&self.id);
        self.places.0.freed.notify_one();
    }
}
