//! Wakes workers: in this process directly, in other processes by NOTIFY.
//!
//! Postgres serialises the commits of transactions that notify. So no enqueuing transaction does: the process sends a
//! NOTIFY of its own after the commit, and coalesces those that fall within two milliseconds. A process that dies in
//! between loses the wake-up and no job: the poll finds the job.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::connections::Connections;
use crate::worker::pool::PoolState;

/// The channel of LISTEN and NOTIFY. A payload is `origin|pool,pool`; an empty pool name means "a scheduled job", `*`
/// means every pool.
pub(crate) const CHANNEL: &str = "queue";

/// Wake-ups closer together than this are sent in one notification.
const COALESCE: Duration = Duration::from_millis(2);

/// Postgres limits a payload to 8000 bytes. Pool names longer than this become `*`.
const PAYLOAD_LIMIT_BYTES: usize = 7000;

/// One per [`crate::Queue`]; clones are the same notifier.
#[derive(Clone)]
pub(crate) struct Notifier(Arc<NotifierInner>);

struct NotifierInner {
    /// Marks this process's own notifications.
    origin: u64,
    pools: Mutex<Vec<Arc<PoolState>>>,
    poller: Notify,
    /// Whether another process may work; unknown counts as yes.
    other_workers: AtomicBool,
    outgoing: Mutex<Outgoing>,
    outgoing_ready: Notify,
    /// Held while a notification is being sent.
    sending: tokio::sync::Mutex<()>,
}

/// Pools whose wake-up has not been sent yet.
#[derive(Default)]
struct Outgoing {
    pools: BTreeSet<String>,
    /// When the last notification was sent.
    sent_at: Option<Instant>,
}

impl Outgoing {
    /// How long to wait before the next notification.
    fn pause(&self) -> Duration {
        self.sent_at.map_or(Duration::ZERO, |sent_at| COALESCE.saturating_sub(sent_at.elapsed()))
    }
}

impl Notifier {
    /// Starts the task that notifies other processes. The task ends with the last clone of the notifier.
    pub(crate) fn start(connections: Connections) -> Self {
        let inner = Arc::new(NotifierInner {
            origin: rand::random(),
            pools: Mutex::default(),
            poller: Notify::new(),
            other_workers: AtomicBool::new(true),
            outgoing: Mutex::default(),
            outgoing_ready: Notify::new(),
            sending: tokio::sync::Mutex::default(),
        });
        tokio::spawn(send_pending(Arc::downgrade(&inner), connections));
        Self(inner)
    }

    /// Wakes the workers of a pool in all processes: a job is due there.
    pub(crate) fn wake_pool(&self, pool: &str) {
        self.wake_pool_here(pool);
        self.announce(pool);
    }

    /// Wakes the pollers of all processes: the next due moment may have changed.
    pub(crate) fn wake_pollers(&self) {
        self.0.poller.notify_one();
        self.announce("");
    }

    /// Wakes the workers of a pool in this process.
    pub(crate) fn wake_pool_here(&self, pool: &str) {
        for state in lock(&self.0.pools).iter().filter(|state| state.name == pool) {
            state.wake();
        }
    }

    /// Wakes every pool and the poller of this process. Needed after a lost connection, since notifications may have
    /// been missed.
    pub(crate) fn wake_all_here(&self) {
        for state in lock(&self.0.pools).iter() {
            state.wake();
        }
        self.0.poller.notify_one();
    }

    /// Takes a notification that was heard on [`CHANNEL`]; this process's own are ignored.
    pub(crate) fn receive(&self, payload: &str) {
        let Some((origin, pools)) = payload.split_once('|') else { return };
        if origin == self.0.origin.to_string() {
            return;
        }
        for pool in pools.split(',') {
            match pool {
                "" => self.0.poller.notify_one(),
                "*" => self.wake_all_here(),
                pool => self.wake_pool_here(pool),
            }
        }
    }

    /// Resolves when the poller is woken.
    pub(crate) async fn poller_woken(&self) {
        self.0.poller.notified().await;
    }

    /// Adds a pool that this process serves.
    pub(crate) fn attach(&self, state: Arc<PoolState>) {
        lock(&self.0.pools).push(state);
    }

    /// Removes the pools of workers that have stopped.
    pub(crate) fn detach(&self, stopped: &[Arc<PoolState>]) {
        lock(&self.0.pools).retain(|state| !stopped.iter().any(|other| Arc::ptr_eq(state, other)));
        self.0.other_workers.store(true, Ordering::Relaxed);
    }

    /// Says whether another process works, which the poller knows. While none does, nothing is sent.
    pub(crate) fn set_other_workers(&self, others: bool) {
        self.0.other_workers.store(others, Ordering::Relaxed);
    }

    /// Sends what is pending, and returns when it is sent.
    pub(crate) async fn flush(&self, connections: &Connections) {
        self.0.send(connections).await;
    }

    /// Has a wake-up sent to other processes.
    fn announce(&self, pool: &str) {
        if !self.0.other_workers.load(Ordering::Relaxed) {
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

impl NotifierInner {
    fn payload(&self, pools: &str) -> String {
        let pools = if pools.len() > PAYLOAD_LIMIT_BYTES { "*" } else { pools };
        format!("{}|{pools}", self.origin)
    }

    /// Sends one notification for all pending wake-ups.
    async fn send(&self, connections: &Connections) {
        let _sending = self.sending.lock().await;
        let pools = {
            let mut outgoing = lock(&self.outgoing);
            if outgoing.pools.is_empty() {
                return;
            }
            outgoing.sent_at = Some(Instant::now());
            std::mem::take(&mut outgoing.pools)
        };
        let names = Vec::from_iter(pools).join(",");
        // Nothing is stored, so the commit need not wait for the disk.
        let notify = sqlx::query("SELECT set_config('synchronous_commit', 'off', TRUE), pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(self.payload(&names));
        let sent = connections.run(async |conn| notify.execute(conn).await).await;
        if let Err(error) = sent {
            // The other processes find the jobs by polling.
            tracing::debug!(error = %error, "Could not notify other workers");
        }
    }
}

/// The task that notifies other processes.
async fn send_pending(notifier: Weak<NotifierInner>, connections: Connections) {
    loop {
        let Some(inner) = notifier.upgrade() else { return };
        // This task must not keep the notifier alive, so it lets go of it at least once a second.
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
        inner.send(&connections).await;
    }
}

/// A poisoned lock is usable: the guarded value is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
