//! Periodic work of every process: pruning the history, and repairing jobs and lanes that stand still.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::worker::lost_completions;
use crate::worker::pool::PoolState;
use crate::worker::process::WorkerProcess;

/// Attempts are pruned 100,000 at a time: at this pace those of a hundred conversations a second.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// Creates the next days' partitions of the history and drops those past its age, until `stop`.
pub(crate) async fn prune_history(process: Arc<WorkerProcess>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let days = process.queue.settings().history.as_secs().div_ceil(24 * 3600);
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let prune = sqlx::query_scalar("SELECT queue.prune($1)").bind(days);
        let pruned: sqlx::Result<i32> =
            process.queue.pool().run(async |conn| prune.fetch_one(conn).await).await;
        match pruned {
            Ok(0) => {}
            Ok(partitions) => {
                tracing::info!("Dropped {partitions} days of finished jobs that are older than {days} days")
            }
            // Without a partition rows go to the default one. The next time tries again.
            Err(error) => tracing::warn!(error = %error, "Could not tidy the history of finished jobs"),
        }
        pause(PRUNE_EVERY, &stop).await;
    }
}

/// The pause after a repair that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Repairs at intervals and after every lost connection, until `stop`.
pub(crate) async fn repair(process: Arc<WorkerProcess>, pools: Vec<Arc<PoolState>>, stop: CancellationToken) {
    let mut next = process.queue.settings().strays_every;
    loop {
        tokio::select! {
            () = pause(next, &stop) => {}
            () = process.connection_lost() => {}
        }
        if stop.is_cancelled() {
            return;
        }
        next = match tokio::time::timeout(
            process.queue.settings().statement_timeout,
            repair_once(&process, &pools),
        )
        .await
        {
            Ok(Ok(())) => process.queue.settings().strays_every,
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "Could not look for jobs that nobody runs; trying again");
                RETRY_PAUSE
            }
            Err(_) => {
                tracing::warn!(
                    "Could not look for jobs that nobody runs: the database does not answer; trying again"
                );
                RETRY_PAUSE
            }
        };
    }
}

/// One round: jobs whose worker has no row (the next poll takes them back), lanes without a head, and completions that
/// the database has lost.
async fn repair_once(process: &WorkerProcess, pools: &[Arc<PoolState>]) -> sqlx::Result<()> {
    let queue = &process.queue;
    let find = sqlx::query_scalar("SELECT queue.find_strays()");
    let workers: i32 = queue.pool().run(async |conn| find.fetch_one(conn).await).await?;
    if workers > 0 {
        tracing::warn!("Found jobs of {workers} workers that nobody remembers");
        queue.notifier().wake_pollers();
    }
    let heal = sqlx::query_scalar("SELECT queue.heal_lanes()");
    let woken: Vec<String> = queue.pool().run(async |conn| heal.fetch_one(conn).await).await?;
    if !woken.is_empty() {
        tracing::warn!("Lanes stood still, since nobody was their head; they go on in {}", woken.join(", "));
        woken.iter().for_each(|pool| queue.notifier().wake_pool(pool));
        queue.notifier().wake_pollers();
    }
    let returned = lost_completions::hand_back(process, pools).await?;
    if returned > 0 {
        tracing::warn!("Handed back {returned} jobs: the database has forgotten their ends");
        queue.notifier().wake_all_here();
        queue.notifier().wake_pollers();
    }
    Ok(())
}

async fn pause(duration: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = stop.cancelled() => {}
    }
}
