//! Tells open pages that something has changed. One look in a while serves all pages of this process, and none are made while no page is open.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use queue::connections::Connections;
use tokio::sync::watch;

use super::Console;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Says how much has been written to the tables that pages show; clones watch the same.
#[derive(Clone)]
pub(super) struct Watch(Arc<watch::Sender<i64>>);

impl Watch {
    /// Needs a tokio runtime.
    pub(super) fn of(pg: Connections) -> Self {
        let (sender, _) = watch::channel(0);
        let sender = Arc::new(sender);
        let weak = Arc::downgrade(&sender);
        drop(tokio::spawn(async move {
            let mut looks = tokio::time::interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                let Some(sender) = weak.upgrade() else { return };
                if sender.receiver_count() == 0 {
                    continue;
                }
                // A database that is away is for the page itself to tell.
                let written = written(&pg).await.unwrap_or(-1);
                sender.send_if_modified(|known| std::mem::replace(known, written) != written);
            }
        }));
        Self(sender)
    }
}

/// Rows written so far, as the server's statistics count them: one look at memory, whatever the tables' size.
async fn written(pg: &Connections) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::BIGINT FROM pg_stat_user_tables
         WHERE (schemaname, relname) IN (('queue', 'jobs'), ('queue', 'dead'), ('queue', 'pauses'), ('public', 'channel_messages'),
             ('public', 'channel_turns'), ('public', 'channel_deliveries'), ('public', 'channel_chunks'), ('public', 'channel_alerts'),
             ('public', 'channel_schedules'), ('public', 'channel_slots'))",
    )
    .fetch_one(&mut *pg.acquire().await?)
    .await
}

/// A stream of `changed` events.
pub(super) async fn events(
    State(console): State<Console>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let receiver = console.watch.0.subscribe();
    let changes = futures::stream::unfold(receiver, async |mut receiver| {
        receiver.changed().await.ok()?;
        let written = *receiver.borrow_and_update();
        Some((Ok(Event::default().event("changed").data(written.to_string())), receiver))
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(20)))
}
