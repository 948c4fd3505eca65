//! What is looked after once in a while: the history, by whichever process is first, and jobs that nobody runs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::worker::forgotten;
use crate::worker::pool::PoolState;
use crate::worker::session::Session;

const EVERY: Duration = Duration::from_secs(3600);

/// Keeps partitions ahead and drops what is older than the history shall be, until `stop`.
pub(crate) async fn keep(session: Arc<Session>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let days = session.queue.settings().history.as_secs().div_ceil(24 * 3600);
        let days = i32::try_from(days).unwrap_or(i32::MAX);
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

/// How long to wait before another look, when the database did not answer to one.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks for what would stand still for ever, now and then and after a lost connection, until `stop`.
pub(crate) async fn find_what_stands_still(
    session: Arc<Session>,
    pools: Vec<Arc<PoolState>>,
    stop: CancellationToken,
) {
    let mut next = session.queue.settings().strays_every;
    loop {
        tokio::select! {
            () = pause(next, &stop) => {}
            () = session.connection_lost() => {}
        }
        if stop.is_cancelled() {
            return;
        }
        next = match tokio::time::timeout(session.queue.settings().statement_timeout, look(&session, &pools))
            .await
        {
            Ok(Ok(())) => session.queue.settings().strays_every,
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "Could not look for jobs that nobody runs; trying again");
                AGAIN
            }
            Err(_) => {
                tracing::warn!(
                    "Could not look for jobs that nobody runs: the database does not answer; trying again"
                );
                AGAIN
            }
        };
    }
}

/// One look: jobs whose worker has no row, which the next tick takes back; lanes without a head; and ends that the database has forgotten.
async fn look(session: &Session, pools: &[Arc<PoolState>]) -> sqlx::Result<()> {
    let queue = &session.queue;
    let find = sqlx::query_scalar("SELECT queue.find_strays()");
    let workers: i32 = queue.pool().ask(async |conn| find.fetch_one(conn).await).await?;
    if workers > 0 {
        tracing::warn!("Found jobs of {workers} workers that nobody remembers");
        queue.bell().ring_later();
    }
    let heal = sqlx::query_scalar("SELECT queue.heal_lanes()");
    let woken: Vec<String> = queue.pool().ask(async |conn| heal.fetch_one(conn).await).await?;
    if !woken.is_empty() {
        tracing::warn!("Lanes stood still, since nobody was their head; they go on in {}", woken.join(", "));
        woken.iter().for_each(|pool| queue.bell().ring(pool));
        queue.bell().ring_later();
    }
    let returned = forgotten::hand_back(session, pools).await?;
    if returned > 0 {
        tracing::warn!("Handed back {returned} jobs: the database has forgotten their ends");
        queue.bell().ring_everything_here();
        queue.bell().ring_later();
    }
    Ok(())
}

async fn pause(duration: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = stop.cancelled() => {}
    }
}
