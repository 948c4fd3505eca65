//! Connections that one caller hands on to the next.
//!
//! sqlx's pool pings every connection that comes back, and a ping costs as much as a statement of the queue. It also
//! hands connections out in turns, so the caches of each one's server process are cold. So a connection whose statement
//! or transaction ended well is kept here, and the one that was used last serves the next caller. The pool gets all
//! others: those that failed, and those whose user was dropped or did not say how it went.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::pool::CloseEvent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::connection::Connection;
use crate::session_health::{self, Failures, ReleaseState};

/// A connection goes back to the pool this long after it left it, used or not. Direct users of the pool wait no longer
/// than that when all connections are handed on, and the pool can close those that are too old or not needed.
const RETURN_AFTER: Duration = Duration::from_secs(5);

/// A connection that has been idle for longer is checked before it is used, by a statement of its own. Within this time
/// a statement that does not find its server process fails; a transaction begins on another connection.
const CHECK_AFTER_IDLE: Duration = Duration::from_millis(100);

/// The idle connections of one pool, and the permits to borrow one.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    pg: PgPool,
    failures: Failures,
    /// As many as the pool may have connections. So whoever holds a permit finds a connection here or at the pool, and
    /// has to wait only for direct users of the pool.
    permits: Arc<Semaphore>,
    /// The most connections that are kept while nobody waits: half of the pool's. Direct users of the pool have the
    /// other half.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Idle>,
    /// Callers that wait for a permit.
    waiting_for_permit: usize,
    /// Callers that wait for the pool. While there are any, connections go back to the pool.
    waiting_for_pool: usize,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    /// The number of failures when it became idle.
    failures: u64,
}

/// The permit to use one connection, held until that connection is idle, back in its pool or closed.
#[derive(Debug)]
pub(crate) struct Loan {
    idle: Arc<IdleConnections>,
    _permit: OwnedSemaphorePermit,
}

impl Loan {
    /// Keeps a connection that ended well for the next caller, or gives it back to its pool.
    pub(crate) fn end(self, connection: Connection) {
        if let Some(mut not_kept) = self.idle.keep(connection) {
            not_kept.loan = Some(self);
        }
    }
}

impl IdleConnections {
    /// None so far. Those that come are released when the pool is closed. Needs a tokio runtime.
    pub(crate) fn of(pg: PgPool, failures: Failures) -> Arc<Self> {
        let size = usize::try_from(pg.options().get_max_connections()).unwrap_or(usize::MAX);
        let permits = Arc::new(Semaphore::new(size.min(Semaphore::MAX_PERMITS)));
        let closed = pg.close_event();
        let idle = Arc::new(Self { pg, failures, permits, limit: size / 2, state: Mutex::default() });
        tokio::spawn(tend(Arc::downgrade(&idle), closed));
        idle
    }

    /// How many are idle here.
    pub(crate) fn number(&self) -> usize {
        self.state().idle.len()
    }

    /// Lends the connection that was used last, or one of the pool's.
    pub(crate) async fn take(self: &Arc<Self>) -> sqlx::Result<Connection> {
        let patience = self.pg.options().get_acquire_timeout();
        let taking = async {
            let loan = self.lend().await?;
            while let Some(Idle { mut connection, since, failures }) = self.last() {
                let is_fresh = since.elapsed() <= CHECK_AFTER_IDLE && failures == self.failures.number();
                if is_fresh || session_health::is_usable(&mut connection).await {
                    connection.loan = Some(loan);
                    return Ok(connection);
                }
                connection.examine(ReleaseState::Failed);
            }
            let _waiting = WaitingCaller { idle: self, counter: |state| &mut state.waiting_for_pool };
            let connection = self.pg.acquire().await?;
            Ok(Connection::new(connection, self.failures.clone(), Some(loan)))
        };
        tokio::time::timeout(patience, taking).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn lend(self: &Arc<Self>) -> sqlx::Result<Loan> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Err(TryAcquireError::NoPermits) => {
                let _waiting = WaitingCaller::start(self, |state| &mut state.waiting_for_permit);
                self.permits.clone().acquire_owned().await.ok()
            }
            tried => tried.ok(),
        };
        // The permits end with the pool.
        let permit = permit.ok_or(sqlx::Error::PoolClosed)?;
        Ok(Loan { idle: self.clone(), _permit: permit })
    }

    /// The connection that was used last. If there is none, the caller is counted as waiting for the pool under the
    /// same lock: a connection that comes back right after goes to the pool.
    fn last(&self) -> Option<Idle> {
        let mut state = self.state();
        let last = if self.pg.is_closed() { None } else { state.idle.pop() };
        if last.is_none() {
            state.waiting_for_pool += 1;
        }
        last
    }

    /// Keeps a connection for the next caller. Returns one that is to go back to the pool.
    fn keep(&self, connection: Connection) -> Option<Connection> {
        if connection.left_pool_at.elapsed() > RETURN_AFTER || self.failures.is_recent() {
            return Some(connection);
        }
        let failures = self.failures.number();
        let mut state = self.state();
        let idle = state.idle.len();
        let is_wanted = (idle < self.limit || idle < state.waiting_for_permit) && state.waiting_for_pool == 0;
        if !is_wanted || self.pg.is_closed() {
            return Some(connection);
        }
        state.idle.push(Idle { connection, since: Instant::now(), failures });
        None
    }

    /// Gives back to the pool what left it long ago.
    fn return_old(&self) {
        let old: Vec<Idle> = self
            .state()
            .idle
            .extract_if(.., |idle| idle.connection.left_pool_at.elapsed() > RETURN_AFTER)
            .collect();
        drop(old);
    }

    /// Gives back all, and lends nothing any more.
    fn close(&self) {
        self.permits.close();
        let all = std::mem::take(&mut self.state().idle);
        drop(all);
    }

    /// A poisoned lock is usable: the guarded value is valid after every statement.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives idle connections back to the pool, some when they are old, all when the pool is closed. Ends with the pool.
async fn tend(idle: Weak<IdleConnections>, mut closed: CloseEvent) {
    loop {
        let is_closed = tokio::time::timeout(RETURN_AFTER, &mut closed).await.is_ok();
        let Some(idle) = idle.upgrade() else { return };
        if is_closed {
            return idle.close();
        }
        idle.return_old();
    }
}

/// A caller that waits, and is counted.
struct WaitingCaller<'a> {
    idle: &'a IdleConnections,
    counter: fn(&mut State) -> &mut usize,
}

impl<'a> WaitingCaller<'a> {
    fn start(idle: &'a IdleConnections, counter: fn(&mut State) -> &mut usize) -> Self {
        *counter(&mut idle.state()) += 1;
        Self { idle, counter }
    }
}

impl Drop for WaitingCaller<'_> {
    fn drop(&mut self) {
        *(self.counter)(&mut self.idle.state()) -= 1;
    }
}

#[cfg(test)]
mod tests;
