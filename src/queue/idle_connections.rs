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

use crate::connections::Connection;
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
mod tests {
    use std::task::{Context, Poll, Waker};

    use private_postgres::schema::Schema;
    use private_postgres::test_database::TestDatabase;

    use super::*;
    use crate::connections::{self, Connections};

    static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

    static SCHEMA: Schema<'static> =
        Schema { migrations: &MIGRATOR, functions: include_str!("../../migrations/functions.sql") };

    /// A pool of so many open connections.
    async fn open(connections: u32) -> (TestDatabase, Connections) {
        let database = TestDatabase::create(&SCHEMA).await;
        let options = connections::options().max_connections(connections).min_connections(connections);
        let pg = options.connect_with(database.connect_options()).await.unwrap();
        (database, Connections::new(pg, Failures::default()))
    }

    fn idle(connections: &Connections) -> MutexGuard<'_, State> {
        connections.idle.as_ref().unwrap().state()
    }

    async fn server_process(connections: &Connections) -> sqlx::Result<i32> {
        connections
            .run(async |conn| sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await)
            .await
    }

    /// Terminates a connection's server process, and returns when it has ended.
    async fn end(connections: &Connections, process: i32) {
        let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)")
            .bind(process)
            .fetch_one(connections.raw())
            .await
            .unwrap();
        assert!(ended);
    }

    /// An idle connection whose server process has just ended, and which counts as fresh for an hour.
    async fn lost(connections: &Connections) -> i32 {
        let lost = server_process(connections).await.unwrap();
        end(connections, lost).await;
        set_idle_since(connections, Instant::now() + Duration::from_secs(3600));
        lost
    }

    fn set_idle_since(connections: &Connections, since: Instant) {
        for idle in idle(connections).idle.iter_mut() {
            idle.since = since;
        }
    }

    fn ago(age: Duration) -> Instant {
        Instant::now().checked_sub(age).expect("the machine has run for longer")
    }

    #[tokio::test]
    async fn concurrent_statements_run_in_server_processes_of_their_own_and_half_of_the_pool_stays_free() {
        let (_database, connections) = open(4).await;
        let together = tokio::sync::Barrier::new(4);
        let statement = || {
            connections.run(async |conn| {
                together.wait().await;
                sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await
            })
        };

        let answers: [sqlx::Result<i32>; 4] =
            futures::join!(statement(), statement(), statement(), statement()).into();

        let mut processes = answers.map(Result::unwrap);
        processes.sort_unstable();
        assert!(processes.windows(2).all(|two| two[0] != two[1]), "{processes:?}");
        assert_eq!(idle(&connections).idle.len(), 2);
        let (one, other) = (connections.raw().acquire().await, connections.raw().acquire().await);
        assert!(one.is_ok() && other.is_ok());
    }

    #[tokio::test]
    async fn a_single_connection_for_which_nobody_waits_is_not_kept() {
        let (_database, connections) = open(1).await;

        server_process(&connections).await.unwrap();

        assert!(connections.raw().acquire().await.is_ok());
        assert!(idle(&connections).idle.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_fails_is_not_kept() {
        let (_database, connections) = open(4).await;
        let first = lost(&connections).await;

        let failed = server_process(&connections).await;

        assert!(failed.is_err());
        assert_ne!(server_process(&connections).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_connection_that_was_lost_while_idle_fails_no_statement() {
        let (_database, connections) = open(4).await;
        let lost = lost(&connections).await;

        set_idle_since(&connections, ago(CHECK_AFTER_IDLE));

        assert_ne!(server_process(&connections).await.unwrap(), lost);
    }

    #[tokio::test]
    async fn a_connection_that_was_lost_just_now_fails_no_transaction() {
        let (_database, connections) = open(4).await;
        let lost = lost(&connections).await;

        let mut transaction = connections.begin().await.unwrap();

        let process: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *transaction).await.unwrap();
        assert_ne!(process, lost);
        transaction.commit().await.unwrap();
    }

    #[tokio::test]
    async fn after_a_failure_anywhere_no_idle_connection_is_used_unchecked() {
        let (_database, connections) = open(4).await;
        let lost = lost(&connections).await;

        connections.idle.as_ref().unwrap().failures.note();

        assert_ne!(server_process(&connections).await.unwrap(), lost);
    }

    #[tokio::test]
    async fn a_connection_that_left_the_pool_long_ago_goes_back_to_it() {
        let (_database, connections) = open(2).await;
        server_process(&connections).await.unwrap();
        let long_ago = ago(RETURN_AFTER + Duration::from_secs(1));
        idle(&connections).idle[0].connection.left_pool_at = long_ago;

        server_process(&connections).await.unwrap();

        assert!(idle(&connections).idle.is_empty());
        server_process(&connections).await.unwrap();
        assert_eq!(idle(&connections).idle.len(), 1);
        idle(&connections).idle[0].connection.left_pool_at = long_ago;
        connections.idle.as_ref().unwrap().return_old();
        assert!(idle(&connections).idle.is_empty());
        let (one, other) = (connections.raw().acquire().await, connections.raw().acquire().await);
        assert!(one.is_ok() && other.is_ok());
    }

    #[tokio::test]
    async fn a_caller_that_is_dropped_while_it_waits_takes_nothing_with_it() {
        let (_database, connections) = open(2).await;

        for polls in 1..20 {
            server_process(&connections).await.unwrap();
            // It is checked before it is used.
            set_idle_since(&connections, ago(CHECK_AFTER_IDLE));
            let mut taking = Box::pin(connections.acquire());
            for _ in 0..polls {
                if let Poll::Ready(taken) = taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    drop(taken.unwrap());
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(taking);
            let (one, other) = (connections.acquire().await, connections.acquire().await);
            assert!(one.is_ok() && other.is_ok(), "after {polls} polls");
            assert!(futures::poll!(Box::pin(connections.acquire())).is_pending());
        }
    }
}
