//! A cache of open connections in front of a pool. The connection that was used last runs the next statement.
//!
//! sqlx's pool hands connections out in turns, so the caches of each one's server process are cold, and it pings every
//! connection that comes back. A ping costs as much as a statement of the queue. So the pool is asked only when the
//! cache is empty.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sqlx::PgConnection;

use crate::connections::{CHECK_AFTER_IDLE, Connection, Connections};
use crate::session_health::{self, ReleaseState};

/// Holds up to half of a pool's connections; the other half is left to other users of the pool. Clones are the same
/// cache.
#[derive(Clone)]
pub(crate) struct ConnectionCache(Arc<CacheInner>);

struct CacheInner {
    pool: Connections,
    limit: usize,
    state: Mutex<IdleConnections>,
}

#[derive(Default)]
struct IdleConnections {
    idle: Vec<Idle>,
    /// Statements that wait for the pool. While there are any, connections go back to the pool and not into the cache.
    waiting: usize,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl ConnectionCache {
    /// An empty cache. It is emptied when the pool is closed. Needs a tokio runtime.
    pub(crate) fn new(pool: Connections) -> Self {
        let limit = usize::try_from(pool.raw().options().get_max_connections() / 2).unwrap_or(usize::MAX);
        let closed = pool.raw().close_event();
        let cache = Self(Arc::new(CacheInner { pool, limit, state: Mutex::default() }));
        let inner = Arc::downgrade(&cache.0);
        tokio::spawn(async move {
            closed.await;
            if let Some(inner) = inner.upgrade() {
                inner.state().idle.clear();
            }
        });
        cache
    }

    /// The most connections that the pool may open.
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.0.pool.raw().options().get_max_connections()).unwrap_or(usize::MAX)
    }

    /// The pool behind it.
    pub(crate) fn pool(&self) -> &Connections {
        &self.0.pool
    }

    /// Runs a statement on the connection that was used last. A connection whose statement fails or is dropped is
    /// examined and goes back to the pool.
    pub(crate) async fn run<T, E: From<sqlx::Error>>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.take().await?;
        let answer = statement(&mut connection).await;
        match answer {
            Ok(_) => self.keep(connection),
            Err(_) => connection.examine(ReleaseState::Failed),
        }
        answer
    }

    async fn take(&self) -> sqlx::Result<Connection> {
        while let Some(Idle { mut connection, since }) = self.last() {
            if since.elapsed() <= CHECK_AFTER_IDLE || session_health::is_usable(&mut connection).await {
                return Ok(connection);
            }
            connection.examine(ReleaseState::Failed);
        }
        let _waiting = WaitingForPool(&self.0);
        self.0.pool.acquire().await
    }

    /// The connection that was used last. If there is none, the caller is counted as waiting under the same lock: a
    /// connection that is released right after goes to the pool.
    fn last(&self) -> Option<Idle> {
        let mut state = self.0.state();
        let last = state.idle.pop();
        if last.is_none() {
            state.waiting += 1;
        }
        last
    }

    fn keep(&self, connection: Connection) {
        let mut state = self.0.state();
        if state.waiting == 0 && state.idle.len() < self.0.limit && !self.0.pool.raw().is_closed() {
            state.idle.push(Idle { connection, since: Instant::now() });
        }
    }
}

impl CacheInner {
    /// A poisoned lock is usable: the guarded value is valid after every statement.
    fn state(&self) -> MutexGuard<'_, IdleConnections> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A statement that waits for the pool, and is counted.
struct WaitingForPool<'a>(&'a CacheInner);

impl Drop for WaitingForPool<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use private_postgres::schema::Schema;
    use private_postgres::test_database::TestDatabase;

    use super::*;

    static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

    static SCHEMA: Schema<'static> =
        Schema { migrations: &MIGRATOR, functions: include_str!("../../migrations/functions.sql") };

    /// A cache over a pool of so many open connections.
    async fn cached(connections: u32) -> (TestDatabase, ConnectionCache) {
        let database = TestDatabase::create(&SCHEMA).await;
        let options = crate::connections::options().max_connections(connections).min_connections(connections);
        let pg = options.connect_with(database.connect_options().clone()).await.unwrap();
        (database, ConnectionCache::new(pg.into()))
    }

    async fn server_process(cache: &ConnectionCache) -> sqlx::Result<i32> {
        cache.run(async |conn| sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await).await
    }

    /// Terminates a connection's server process, and returns when it has ended.
    async fn end(cache: &ConnectionCache, process: i32) {
        let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)")
            .bind(process)
            .fetch_one(cache.pool().raw())
            .await
            .unwrap();
        assert!(ended);
    }

    fn age(cache: &ConnectionCache, by: Duration) {
        for idle in cache.0.state().idle.iter_mut() {
            idle.since = idle.since.checked_sub(by).expect("the machine has run for longer");
        }
    }

    #[tokio::test]
    async fn statements_that_follow_each_other_run_in_one_server_process() {
        let (_database, cache) = cached(4).await;

        let first = server_process(&cache).await.unwrap();

        for _ in 0..8 {
            assert_eq!(server_process(&cache).await.unwrap(), first);
        }
    }

    #[tokio::test]
    async fn concurrent_statements_run_in_server_processes_of_their_own_and_half_of_the_pool_stays_free() {
        let (_database, cache) = cached(4).await;
        let together = tokio::sync::Barrier::new(4);
        let statement = || {
            cache.run(async |conn| {
                together.wait().await;
                sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await
            })
        };

        let answers: [sqlx::Result<i32>; 4] =
            futures::join!(statement(), statement(), statement(), statement()).into();

        let mut processes = answers.map(Result::unwrap);
        processes.sort_unstable();
        assert!(processes.windows(2).all(|two| two[0] != two[1]), "{processes:?}");
        assert_eq!(cache.0.state().idle.len(), 2);
        let (one, other) = (cache.pool().acquire().await, cache.pool().acquire().await);
        assert!(one.is_ok() && other.is_ok());
    }

    #[tokio::test]
    async fn a_statement_that_waits_gets_the_connection_that_comes_free() {
        let (_database, cache) = cached(2).await;
        let _half = cache.pool().acquire().await.unwrap();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut first = pin!(cache.run(async |_| -> sqlx::Result<()> {
            ended.await.unwrap();
            Ok(())
        }));
        let mut second = pin!(server_process(&cache));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());

        end.send(()).unwrap();
        first.await.unwrap();

        let second = tokio::time::timeout(Duration::from_secs(10), second).await;
        assert!(second.expect("it got the connection").is_ok());
    }

    #[tokio::test]
    async fn a_single_connection_is_not_cached() {
        let (_database, cache) = cached(1).await;

        server_process(&cache).await.unwrap();

        assert!(cache.pool().acquire().await.is_ok());
        assert!(cache.0.state().idle.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_fails_is_not_cached() {
        let (_database, cache) = cached(4).await;
        let first = server_process(&cache).await.unwrap();

        end(&cache, first).await;
        let failed = server_process(&cache).await;

        assert!(failed.is_err());
        assert_ne!(server_process(&cache).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_connection_that_was_lost_while_idle_fails_no_statement() {
        let (_database, cache) = cached(4).await;
        let first = server_process(&cache).await.unwrap();

        end(&cache, first).await;
        age(&cache, CHECK_AFTER_IDLE);

        assert_ne!(server_process(&cache).await.unwrap(), first);
    }

    #[tokio::test]
    async fn the_answer_of_a_dropped_statement_reaches_no_other_statement() {
        let (_database, cache) = cached(2).await;
        let slow = cache.run(async |conn| {
            sqlx::query_scalar::<_, i32>("SELECT 1 FROM pg_sleep(0.2)").fetch_one(conn).await
        });

        assert!(tokio::time::timeout(Duration::from_millis(50), slow).await.is_err());

        for _ in 0..4 {
            assert_ne!(server_process(&cache).await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn a_pool_whose_connections_are_cached_can_be_closed() {
        let (_database, cache) = cached(4).await;
        server_process(&cache).await.unwrap();

        cache.pool().raw().close().await;

        assert!(matches!(server_process(&cache).await, Err(sqlx::Error::PoolClosed)));
    }
}
