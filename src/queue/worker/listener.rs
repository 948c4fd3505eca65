//! Hears other processes ring. One connection of its own, which is a direct one: a pooler in transaction mode loses LISTEN.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::Queue;
use crate::bell::CHANNEL;
use crate::worker::session::Session;

/// After a failed connection the listener waits this long; the poll serves meanwhile.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn listen(session: Arc<Session>, stop: CancellationToken) {
    let queue = &session.queue;
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with((*queue.pool().direct()).clone());
    while !stop.is_cancelled() {
        tokio::select! {
            heard = hear(queue, &pool) => {
                session.note_lost_connection();
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

/// Listens until the connection is lost. What was said while nobody listened is unknown, so everything is looked at.
async fn hear(queue: &Queue, pool: &PgPool) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    queue.bell().ring_everything_here();
    while let Some(notification) = listener.try_recv().await? {
        queue.bell().heard(notification.payload());
    }
    Ok(())
}
