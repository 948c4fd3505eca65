//! Wake-up: in this process directly, in other processes by a coalesced NOTIFY.
//!
//! A NOTIFY inside each enqueue's commit would make all commits wait for each other. So it goes out after the commit, from one connection, and work that
//! comes within two milliseconds of the last one is told of in the next. A process that dies in between loses a wake-up and no job: the poll finds it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::kept::Kept;
use crate::worker::pool::PoolState;

/// The channel of LISTEN and NOTIFY. A payload is `origin|pool,pool`; an empty pool name means "a job in the future".
pub(crate) const CHANNEL: &str = "queue";

/// Notifications closer together than this are sent as one.
const COALESCE: Duration = Duration::from_millis(2);

/// A NOTIFY payload must stay under 8000 bytes; more pools than this become "look at everything".
const PAYLOAD_LIMIT_BYTES: usize = 7000;

/// One per process; clones ring the same bell.
#[derive(Clone)]
pub(crate) struct Bell(Arc<Inner>);

struct Inner {
    /// Marks this process's own notifications.
    origin: u64,
    pools: Mutex<Vec<Arc<PoolState>>>,
    poller: Notify,
    /// Whether anybody else could be listening; unknown counts as yes.
    others: AtomicBool,
    outgoing: Mutex<Outgoing>,
    outgoing_ready: Notify,
    /// Held while a notification is under way.
    sending: tokio::sync::Mutex<()>,
}

/// What the others are to be told.
#[derive(Default)]
struct Outgoing {
    pools: BTreeSet<String>,
    /// When they were last told something.
    told_at: Option<Instant>,
}

impl Outgoing {
    /// How long nothing may be said yet.
    fn pause(&self) -> Duration {
        self.told_at.map_or(Duration::ZERO, |told_at| COALESCE.saturating_sub(told_at.elapsed()))
    }
}

impl Bell {
    /// Starts the task that tells other processes; it ends with the last clone of the bell.
    pub(crate) fn start(kept: Kept) -> Self {
        let inner = Arc::new(Inner {
            origin: rand::random(),
            pools: Mutex::default(),
            poller: Notify::new(),
            others: AtomicBool::new(true),
            outgoing: Mutex::default(),
            outgoing_ready: Notify::new(),
            sending: tokio::sync::Mutex::default(),
        });
        tokio::spawn(announce(Arc::downgrade(&inner), kept));
        Self(inner)
    }

    /// Work is waiting in this pool.
    pub(crate) fn ring(&self, pool: &str) {
        self.ring_here(pool);
        self.tell(pool);
    }

    /// A job was enqueued for later: every poller asks anew when its next one is due.
    pub(crate) fn ring_later(&self) {
        self.0.poller.notify_one();
        self.tell("");
    }

    /// Wakes this process alone.
    pub(crate) fn ring_here(&self, pool: &str) {
        for state in lock(&self.0.pools).iter().filter(|state| state.name == pool) {
            state.wake();
        }
    }

    /// Wakes everything in this process: after a lost connection nobody knows what was missed.
    pub(crate) fn ring_everything_here(&self) {
        for state in lock(&self.0.pools).iter() {
            state.wake();
        }
        self.0.poller.notify_one();
    }

    /// What another process said.
    pub(crate) fn heard(&self, payload: &str) {
        let Some((origin, pools)) = payload.split_once('|') else { return };
        if origin == self.0.origin.to_string() {
            return;
        }
        for pool in pools.split(',') {
            match pool {
                "" => self.0.poller.notify_one(),
                "*" => self.ring_everything_here(),
                pool => self.ring_here(pool),
            }
        }
    }

    /// Resolves when somebody wants the poller to look.
    pub(crate) async fn poller_rung(&self) {
        self.0.poller.notified().await;
    }

    /// Makes a pool of this process wakeable.
    pub(crate) fn attach(&self, state: Arc<PoolState>) {
        lock(&self.0.pools).push(state);
    }

    /// Forgets the pools of workers that stopped.
    pub(crate) fn detach(&self, stopped: &[Arc<PoolState>]) {
        lock(&self.0.pools).retain(|state| !stopped.iter().any(|other| Arc::ptr_eq(state, other)));
        self.0.others.store(true, Ordering::Relaxed);
    }

    /// The poller knows whether another process works; while none does, nobody needs to be told.
    pub(crate) fn set_others(&self, others: bool) {
        self.0.others.store(others, Ordering::Relaxed);
    }

    /// Returns when the others have heard everything.
    pub(crate) async fn tell_now(&self, kept: &Kept) {
        self.0.send(kept).await;
    }

    fn tell(&self, pool: &str) {
        if !self.0.others.load(Ordering::Relaxed) {
            return;
        }
        let mut outgoing = lock(&self.0.outgoing);
        if !outgoing.pools.contains(pool) {
            outgoing.pools.insert(pool.to_owned());
        }
        drop(outgoing);
        self.0.outgoing_ready.notify_one();
    }
}

impl Inner {
    fn payload(&self, pools: &str) -> String {
        let pools = if pools.len() > PAYLOAD_LIMIT_BYTES { "*" } else { pools };
        format!("{}|{pools}", self.origin)
    }

    /// Sends what there is to say.
    async fn send(&self, kept: &Kept) {
        let _sending = self.sending.lock().await;
        let pools = {
            let mut outgoing = lock(&self.outgoing);
            if outgoing.pools.is_empty() {
                return;
            }
            outgoing.told_at = Some(Instant::now());
            std::mem::take(&mut outgoing.pools)
        };
        let names = Vec::from_iter(pools).join(",");
        // Nothing is stored, so nothing needs to reach the disk before it is heard.
        let say = sqlx::query("SELECT set_config('synchronous_commit', 'off', TRUE), pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(self.payload(&names));
        let sent = kept.ask(async |conn| say.execute(conn).await).await;
        if let Err(error) = sent {
            // The poll of the others makes up for it.
            tracing::debug!(error = %error, "Could not notify other workers");
        }
    }
}

async fn announce(bell: Weak<Inner>, kept: Kept) {
    loop {
        let Some(inner) = bell.upgrade() else { return };
        // Waiting must not keep the bell alive, so it is looked at once a second whether anybody still holds it.
        let _ = tokio::time::timeout(Duration::from_secs(1), inner.outgoing_ready.notified()).await;
        let pause = {
            let outgoing = lock(&inner.outgoing);
            if outgoing.pools.is_empty() {
                continue;
            }
            outgoing.pause()
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        inner.send(&kept).await;
    }
}

/// A panic elsewhere must not make the bell mute: what it guards is valid at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
