//! Connection pools for the queue's statements.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgPoolOptions};

use crate::worker;

/// A connection that has been idle for longer is asked whether it still lives before it is used. One that was used just now is not: the
/// question costs a round trip, as much as many a statement. A server that restarts within this time is met as an error, which the
/// workers try again after.
pub(crate) const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Options for a pool of callers that enqueue; its size is the caller's to set.
#[must_use]
pub fn options() -> PgPoolOptions {
    PgPoolOptions::new().test_before_acquire(false).before_acquire(|connection, metadata| {
        Box::pin(async move {
            if metadata.idle_for > TRUSTED_FOR {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
}

/// Options for the pool that [`crate::Queue::open`] is given where workers run. A new connection has looked up its tables and planned its
/// statements before it is used: that takes longer than the first claim itself.
#[must_use]
pub fn for_workers() -> PgPoolOptions {
    options().after_connect(|connection, _| {
        Box::pin(async move {
            // A database without tables, or one that has just gone away, is told of by who uses the connection.
            if let Err(error) = make_ready(connection).await {
                tracing::debug!(error = %error, "A new connection could not be made ready: {error}");
            }
            Ok(())
        })
    })
}

/// Waits for no lock: a lease may have to be renewed on this connection.
async fn make_ready(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("SET lock_timeout = '50ms'").execute(&mut *connection).await?;
    let ready = async {
        worker::claimed::make_ready(connection).await?;
        worker::completer::make_ready(connection).await
    }
    .await;
    sqlx::raw_sql("RESET lock_timeout").execute(connection).await?;
    ready
}
