//! The one look at the database that serves all pools of a process: at least every `poll_every`, sooner when somebody rings or
//! when a job or a foreign lease falls due.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::connections::Connection;
use crate::fitness::Left;
use crate::job::JobId;
use crate::worker::pool::PoolState;
use crate::worker::session::Session;

/// What a look brought.
#[derive(sqlx::FromRow)]
struct Tick {
    ready: Vec<String>,
    suspects: Vec<String>,
    cancels: Vec<JobId>,
    rescued: i32,
    others: bool,
    next_ms: Option<f64>,
}

pub(crate) async fn poll(session: Arc<Session>, pools: Vec<Arc<PoolState>>, stop: CancellationToken) {
    let names: Vec<String> = pools.iter().map(|pool| pool.name.clone()).collect();
    // Kept from look to look: taking it from the pool and giving it back would cost the idle server two more round trips each time.
    let mut held = None;
    while !stop.is_cancelled() {
        let pause = match look(&session, &names, &mut held).await {
            Ok(tick) => act(&session, &pools, tick),
            Err(error) => {
                tracing::warn!(error, "Could not look for due jobs; trying again");
                session.note_lost_connection();
                session.queue.settings().poll_every.min(Duration::from_secs(1))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = session.queue.bell().poller_rung() => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn look(session: &Session, pools: &[String], held: &mut Option<Connection>) -> Result<Tick, String> {
    let settings = session.queue.settings();
    let worker_id = session.incarnation().map(|incarnation| incarnation.worker_id);
    let tick = async {
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => session.queue.pool().acquire().await?,
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
            Err(_) => connection.examine(Left::Failed),
        }
        tick
    };
    match tokio::time::timeout(settings.statement_timeout, tick).await {
        Ok(answer) => answer.map_err(|error: sqlx::Error| error.to_string()),
        Err(_) => Err("the database does not answer".to_owned()),
    }
}

/// Wakes who has work; returns how long nothing else can fall due.
fn act(session: &Session, pools: &[Arc<PoolState>], tick: Tick) -> Duration {
    let settings = session.queue.settings();
    if tick.rescued > 0 {
        tracing::warn!(jobs = tick.rescued, "Took back {} jobs of lost workers", tick.rescued);
    }
    session.queue.bell().set_others(tick.others);
    for pool in pools {
        if tick.ready.contains(&pool.name) {
            pool.wake();
        }
        if tick.suspects.contains(&pool.name) {
            pool.wake_for_suspects();
        }
    }
    for job_id in tick.cancels {
        session.ask_to_stop(job_id);
    }
    let mut pause = settings.poll_every;
    if !tick.suspects.is_empty() {
        pause = pause.min(settings.suspect_stagger);
    }
    if let Some(next_ms) = tick.next_ms {
        // A millisecond late rather than a microsecond early, when the look would find nothing and come again at once.
        pause =
            pause.min(Duration::from_secs_f64(next_ms.clamp(0.0, 3.6e6) / 1000.0) + Duration::from_millis(1));
    }
    pause
}
