//! What is looked after once in a while: the history, by whichever process is first, and jobs that nobody runs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::worker::session::Session;

const EVERY: Duration = Duration::from_secs(3600);

/// Keeps partitions ahead and drops what is older than the history shall be, until `stop`.
pub(crate) async fn keep(session: Arc<Session>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let days = i32::from(session.queue.settings().history_days);
        let prune = sqlx::query_scalar("SELECT queue.prune($1)").bind(days);
        let pruned: sqlx::Result<i32> =
            session.queue.pool().ask(async |conn| prune.fetch_one(conn).await).await;
        match pruned {
            Ok(0) => {}
            Ok(partitions) => {
                tracing::info!("Dropped {partitions} days of finished jobs that are older than {days} days")
            }
            // The default partition catches what a missing one would lose; the next hour tries again.
            Err(error) => tracing::warn!(error = %error, "Could not tidy the history of finished jobs"),
        }
        pause(EVERY, &stop).await;
    }
}

/// Finds jobs whose worker has no row, until `stop`; the next look takes them back.
pub(crate) async fn find_strays(session: Arc<Session>, stop: CancellationToken) {
    loop {
        pause(session.queue.settings().strays_every, &stop).await;
        if stop.is_cancelled() {
            return;
        }
        let find = sqlx::query_scalar("SELECT queue.find_strays()");
        let found: sqlx::Result<i32> =
            session.queue.pool().ask(async |conn| find.fetch_one(conn).await).await;
        match found {
            Ok(0) => {}
            Ok(workers) => {
                tracing::warn!("Found jobs of {workers} workers that nobody remembers");
                session.queue.bell().ring_later();
            }
            Err(error) => tracing::warn!(error = %error, "Could not look for jobs that nobody runs"),
        }
    }
}

async fn pause(duration: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = stop.cancelled() => {}
    }
}
