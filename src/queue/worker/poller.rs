//! Polls the database for all pools of a process: at least every `poll`, sooner after a wake-up and when a job
//! falls due or the lease of another process runs out.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::job::JobId;
use crate::session_health::ReleaseState;
use crate::worker::pool::PoolState;
use crate::worker::process::WorkerProcess;

/// What one poll found.
#[derive(sqlx::FromRow)]
struct Tick {
    ready: Vec<String>,
    suspects: Vec<String>,
    cancels: Vec<JobId>,
    rescued: i32,
    others: bool,
    next_ms: Option<f64>,
}

pub(crate) async fn poll(process: Arc<WorkerProcess>, pools: Vec<Arc<PoolState>>, stop: CancellationToken) {
    let names: Vec<String> = pools.iter().map(|pool| pool.name.clone()).collect();
    // One connection is held from poll to poll: taking it from the pool and giving it back would cost two more round
    // trips each time.
    let mut held = None;
    while !stop.is_cancelled() {
        let pause = match poll_once(&process, &names, &mut held).await {
            Ok(tick) => act(&process, &pools, tick),
            Err(error) => {
                tracing::warn!(error, "Could not look for due jobs; trying again");
                process.note_lost_connection();
                process.queue.settings().poll.min(Duration::from_secs(1))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = process.queue.notifier().poller_woken() => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn poll_once(
    process: &WorkerProcess,
    pools: &[String],
    held: &mut Option<Connection>,
) -> Result<Tick, String> {
    let settings = process.queue.settings();
    let worker_id = process.lease().map(|lease| lease.worker_id);
    let tick = async {
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => process.queue.pool().acquire().await?,
        };
        let tick: sqlx::Result<Tick> = sqlx::query_as(
            "SELECT ready, suspects, cancels, rescued, others, next_ms FROM queue.tick($1, $2, $3)",
        )
        .bind(worker_id.unwrap_or_default())
        .bind(pools)
        .bind(i32::from(settings.crash_limit))
        .fetch_one(&mut *connection)
        .await;
        match tick {
            Ok(_) => *held = Some(connection),
            Err(_) => connection.examine(ReleaseState::Failed),
        }
        tick
    };
    match tokio::time::timeout(settings.statement_timeout, tick).await {
        Ok(answer) => answer.map_err(|error: sqlx::Error| error.to_string()),
        Err(_) => Err("the database does not answer".to_owned()),
    }
}

/// Wakes the pools that have due jobs; returns the time until the next poll.
fn act(process: &WorkerProcess, pools: &[Arc<PoolState>], tick: Tick) -> Duration {
    let settings = process.queue.settings();
    if tick.rescued > 0 {
        tracing::warn!(jobs = tick.rescued, "Took back {} jobs of lost workers", tick.rescued);
    }
    process.queue.notifier().set_other_workers(tick.others);
    for pool in pools {
        if tick.ready.contains(&pool.name) {
            pool.wake();
        }
        if tick.suspects.contains(&pool.name) {
            pool.wake_for_suspects();
        }
    }
    process.request_cancels(&tick.cancels.into_iter().collect());
    let mut pause = settings.poll;
    if !tick.suspects.is_empty() {
        pause = pause.min(settings.suspect_stagger);
    }
    if let Some(next_ms) = tick.next_ms {
        // A millisecond late: a poll that comes a microsecond early finds nothing and is repeated at once.
        pause =
            pause.min(Duration::from_secs_f64(next_ms.clamp(0.0, 3.6e6) / 1000.0) + Duration::from_millis(1));
    }
    pause
}
