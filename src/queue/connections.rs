//! Connection pools for the queue's statements.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgPoolOptions;

/// A connection that has been idle for longer is asked whether it still lives before it is used. One that was used just now is not: the
/// question costs a round trip, as much as many a statement. A server that restarts within this time is met as an error, which the
/// workers try again after.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Options for a pool that [`crate::Queue::open`] or callers that enqueue are given; its size is the caller's to set.
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
