//! Connections that are kept between statements, the one used last for the next statement.
//!
//! A pool hands its connections out in turns, so that each one's server process finds its caches cold, and asks every one that comes back
//! whether it still lives. For a statement of the queue that question costs as much as the statement, so a pool is gone to only for
//! what is not kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sqlx::PgConnection;

use crate::connections::{Connection, Connections, TRUSTED_FOR};
use crate::fitness::{self, Left};

/// Up to half of a pool's connections; the other half is there for whoever else uses the pool.
#[derive(Clone)]
pub(crate) struct Kept(Arc<Inner>);

struct Inner {
    pool: Connections,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    /// Questions for which nothing was kept, and which wait for the pool. While there are any, it gets back what they wait for.
    waiting: usize,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Kept {
    /// Keeps nothing yet. When the pool is closed, it keeps nothing any more. Needs a tokio runtime.
    pub(crate) fn new(pool: Connections) -> Self {
        let limit = usize::try_from(pool.raw().options().get_max_connections() / 2).unwrap_or(usize::MAX);
        let closed = pool.raw().close_event();
        let kept = Self(Arc::new(Inner { pool, limit, state: Mutex::default() }));
        let inner = Arc::downgrade(&kept.0);
        tokio::spawn(async move {
            closed.await;
            if let Some(inner) = inner.upgrade() {
                inner.state().idle.clear();
            }
        });
        kept
    }

    /// How many connections there may be, kept or not.
    pub(crate) fn connections(&self) -> usize {
        usize::try_from(self.0.pool.raw().options().get_max_connections()).unwrap_or(usize::MAX)
    }

    /// The pool behind it.
    pub(crate) fn pool(&self) -> &Connections {
        &self.0.pool
    }

    /// Asks something on the connection that was used last. One whose statement fails or is given up goes back to the pool, and is looked at
    /// on the way.
    pub(crate) async fn ask<T, E: From<sqlx::Error>>(
        &self,
        question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.take().await?;
        let answer = question(&mut connection).await;
        match answer {
            Ok(_) => self.keep(connection),
            Err(_) => connection.examine(Left::Failed),
        }
        answer
    }

    async fn take(&self) -> sqlx::Result<Connection> {
        while let Some(Idle { mut connection, since }) = self.last() {
            if since.elapsed() <= TRUSTED_FOR || fitness::is_fit(&mut connection).await {
                return Ok(connection);
            }
            connection.examine(Left::Failed);
        }
        let _waiting = Waiting(&self.0);
        self.0.pool.acquire().await
    }

    /// What was used last. Who gets nothing is counted at once among those that wait, or a connection could be kept from it in between.
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

impl Inner {
    /// What is guarded is valid at every step, also after a panic elsewhere.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that waits for the pool, and has been counted.
struct Waiting<'a>(&'a Inner);

impl Drop for Waiting<'_> {
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

    /// Connections kept of a pool of so many, all of them open.
    async fn kept(connections: u32) -> (TestDatabase, Kept) {
        let database = TestDatabase::create(&SCHEMA).await;
        let options = crate::connections::options().max_connections(connections).min_connections(connections);
        let pg = options.connect_with(database.connect_options().clone()).await.unwrap();
        (database, Kept::new(pg.into()))
    }

    async fn server_process(kept: &Kept) -> sqlx::Result<i32> {
        kept.ask(async |conn| sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await).await
    }

    /// Ends what keeps the connection at the other end, and returns when it has.
    async fn end(kept: &Kept, process: i32) {
        let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)")
            .bind(process)
            .fetch_one(kept.pool().raw())
            .await
            .unwrap();
        assert!(ended);
    }

    fn age(kept: &Kept, by: Duration) {
        for idle in kept.0.state().idle.iter_mut() {
            idle.since = idle.since.checked_sub(by).expect("the machine has run for longer");
        }
    }

    #[tokio::test]
    async fn questions_that_follow_each_other_meet_one_server_process() {
        let (_database, kept) = kept(4).await;

        let first = server_process(&kept).await.unwrap();

        for _ in 0..8 {
            assert_eq!(server_process(&kept).await.unwrap(), first);
        }
    }

    #[tokio::test]
    async fn questions_at_the_same_time_meet_server_processes_of_their_own_and_half_of_the_pool_stays_free() {
        let (_database, kept) = kept(4).await;
        let together = tokio::sync::Barrier::new(4);
        let question = || {
            kept.ask(async |conn| {
                together.wait().await;
                sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(conn).await
            })
        };

        let answers: [sqlx::Result<i32>; 4] =
            futures::join!(question(), question(), question(), question()).into();

        let mut processes = answers.map(Result::unwrap);
        processes.sort_unstable();
        assert!(processes.windows(2).all(|two| two[0] != two[1]), "{processes:?}");
        assert_eq!(kept.0.state().idle.len(), 2);
        let (one, other) = (kept.pool().acquire().await, kept.pool().acquire().await);
        assert!(one.is_ok() && other.is_ok());
    }

    #[tokio::test]
    async fn a_question_that_waits_gets_the_connection_that_comes_free_though_it_could_be_kept() {
        let (_database, kept) = kept(2).await;
        let _half = kept.pool().acquire().await.unwrap();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut first = pin!(kept.ask(async |_| -> sqlx::Result<()> {
            ended.await.unwrap();
            Ok(())
        }));
        let mut second = pin!(server_process(&kept));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());

        end.send(()).unwrap();
        first.await.unwrap();

        let second = tokio::time::timeout(Duration::from_secs(10), second).await;
        assert!(second.expect("it got the connection").is_ok());
    }

    #[tokio::test]
    async fn of_a_single_connection_nothing_is_kept() {
        let (_database, kept) = kept(1).await;

        server_process(&kept).await.unwrap();

        assert!(kept.pool().acquire().await.is_ok());
        assert!(kept.0.state().idle.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_fails_is_not_kept() {
        let (_database, kept) = kept(4).await;
        let first = server_process(&kept).await.unwrap();

        end(&kept, first).await;
        let failed = server_process(&kept).await;

        assert!(failed.is_err());
        assert_ne!(server_process(&kept).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_connection_that_was_lost_while_nobody_asked_costs_nobody_an_error() {
        let (_database, kept) = kept(4).await;
        let first = server_process(&kept).await.unwrap();

        end(&kept, first).await;
        age(&kept, TRUSTED_FOR);

        assert_ne!(server_process(&kept).await.unwrap(), first);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_reaches_nobody_else() {
        let (_database, kept) = kept(2).await;
        let slow = kept.ask(async |conn| {
            sqlx::query_scalar::<_, i32>("SELECT 1 FROM pg_sleep(0.2)").fetch_one(conn).await
        });

        assert!(tokio::time::timeout(Duration::from_millis(50), slow).await.is_err());

        for _ in 0..4 {
            assert_ne!(server_process(&kept).await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn a_pool_whose_connections_are_kept_can_be_closed() {
        let (_database, kept) = kept(4).await;
        server_process(&kept).await.unwrap();

        kept.pool().raw().close().await;

        assert!(matches!(server_process(&kept).await, Err(sqlx::Error::PoolClosed)));
    }
}
