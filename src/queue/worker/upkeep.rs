//! The upkeep of the history: once an hour, by whichever process is first.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::worker::session::Session;

const EVERY: Duration = Duration::from_secs(3600);

/// Keeps partitions ahead and drops what is older than the history shall be, until `stop`.
pub(crate) async fn keep(session: Arc<Session>, stop: CancellationToken) {
    while !stop.is_cancelled() {
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
