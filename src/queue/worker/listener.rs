//! Listens for notifications of other processes, on a connection of its own past any pooler: a pooler in transaction
//! mode loses LISTEN.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::Queue;
use crate::notifier::CHANNEL;
use crate::worker::process::WorkerProcess;

/// The pause after a lost connection. Meanwhile jobs are found by polling.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn listen(process: Arc<WorkerProcess>, stop: CancellationToken) {
    let queue = &process.queue;
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with((*queue.pool().direct()).clone());
    while !stop.is_cancelled() {
        tokio::select! {
            heard = hear(queue, &pool) => {
                process.note_lost_connection();
                if let Err(error) = heard {
                    tracing::debug!(error = %error, "Lost the listening connection");
                }
                tokio::select! {
                    () = tokio::time::sleep(RECONNECT_PAUSE) => {}
                    () = stop.cancelled() => {}
                }
            }
            () = stop.cancelled() => {}
        }
    }
}

/// Listens until the connection is lost. Notifications before that may have been missed, so everything is looked at
/// once.
async fn hear(queue: &Queue, pool: &PgPool) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    queue.notifier().wake_all_here();
    while let Some(notification) = listener.try_recv().await? {
        queue.notifier().receive(notification.payload());
    }
    Ok(())
}
