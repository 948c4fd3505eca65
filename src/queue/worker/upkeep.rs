//! The upkeep of the history, and a look for jobs that nobody runs: once an hour.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::worker::session::Session;

const EVERY: Duration = Duration::from_secs(3600);

/// Finds jobs of workers that are not there, keeps partitions ahead and drops what is older than the history shall be, until `stop`.
pub(crate) async fn keep(session: Arc<Session>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match sqlx::query_scalar::<_, i32>("SELECT queue.find_strays()").fetch_one(session.queue.pg()).await {
            Ok(0) => {}
            Ok(workers) => {
                tracing::warn!("Found jobs of {workers} workers that are not there any more");
                session.queue.bell().ring_later();
            }
            Err(error) => tracing::warn!(error = %error, "Could not look for jobs that nobody runs"),
        }
        let days = i32::from(session.queue.settings().history_days);
        let pruned: sqlx::Result<i32> =
            sqlx::query_scalar("SELECT queue.prune($1)").bind(days).fetch_one(session.queue.pg()).await;
        match pruned {
            Ok(0) => {}
            Ok(partitions) => {
                tracing::info!("Dropped {partitions} days of finished jobs that are older than {days} days")
            }
            // The default partition catches what a missing one would lose; the next hour tries again.
            Err(error) => tracing::warn!(error = %error, "Could not tidy the history of finished jobs"),
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}
