//! The processes that work, and what is due in the pools that they serve.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use queue::backlog;
use queue::bounded_count::BoundedCount;
use queue::processes::ProcessRow;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::pools;

/// A process that works, or has worked and was not seen to stop.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessView {
    /// What its jobs name it by.
    pub worker: i64,
    /// Its machine.
    pub host: String,
    /// Its number there; null: not told.
    pub process_id: Option<u32>,
    /// Of the program; null: not told.
    pub version: Option<String>,
    /// Whether its lease lasts. The jobs of one that is dead are taken back by another.
    pub alive: bool,
    /// When it claimed for the first time.
    pub started_at: DateTime<Utc>,
    /// Its last heartbeat.
    pub renewed_at: DateTime<Utc>,
    /// The pools that it serves.
    pub pools: Vec<ServedPool>,
    /// The kinds that it can run; null: all.
    pub kinds: Option<Vec<String>>,
    /// The version of the schedules' files that it fires by; null: it fires none.
    pub schedules: Option<String>,
}

/// A pool as a process serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedPool {
    /// Its name.
    pub pool: String,
    /// How many of its jobs may run there at a time.
    pub concurrency: i64,
    /// How many do.
    pub running: i64,
}

/// A pool, over all processes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolView {
    /// Its name.
    pub pool: String,
    /// How many living processes serve it.
    pub processes: usize,
    /// How many of its jobs may run at a time, in all of them.
    pub concurrency: i64,
    /// How many do.
    pub running: i64,
    /// How many are due and wait.
    pub waiting: BoundedCount,
    /// Since when the one is due that has waited longest; null: none waits.
    pub waiting_since: Option<DateTime<Utc>>,
    /// The database's clock.
    #[serde(skip)]
    pub now: DateTime<Utc>,
}

/// All processes, in the order of their starts.
pub async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<ProcessView>> {
    let due = backlog::due(conn).await?;
    let schedulers = store::schedulers::alive(conn).await?;
    let view = |row: ProcessRow| {
        let ProcessRow { id, name, version, started_at, renewed_at, is_alive, kinds, pools } = row;
        let running = |pool: &str| {
            due.iter().filter(|due| due.pool == pool && due.worker_id == Some(id)).map(|due| due.jobs).sum()
        };
        let served =
            |(pool, concurrency): (String, i64)| ServedPool { running: running(&pool), pool, concurrency };
        let schedules = schedulers.iter().find(|scheduler| scheduler.process == name);
        let (host, process_id) = match name.rsplit_once(':') {
            Some((host, number)) => (host.to_owned(), number.parse().ok()),
            None => (name.clone(), None),
        };
        ProcessView {
            worker: id,
            host,
            process_id,
            version,
            alive: is_alive,
            started_at,
            renewed_at,
            pools: pools.0.into_iter().map(served).collect(),
            kinds: kinds.map(sorted),
            schedules: schedules.map(|scheduler| scheduler.set_hash.clone()),
        }
    };
    Ok(queue::processes::all(conn).await?.into_iter().map(view).collect())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

/// All pools: those that this version has, and those that are served or have jobs.
pub async fn pools(conn: &mut PgConnection) -> sqlx::Result<Vec<PoolView>> {
    let now = store::clock::now(conn).await?;
    let empty = |pool: &str| PoolView {
        pool: pool.to_owned(),
        processes: 0,
        concurrency: 0,
        running: 0,
        waiting: BoundedCount::default(),
        waiting_since: None,
        now,
    };
    let mut views: BTreeMap<String, PoolView> =
        pools::ALL.into_iter().map(|pool| (pool.to_owned(), empty(pool))).collect();
    for process in queue::processes::all(conn).await?.into_iter().filter(|process| process.is_alive) {
        for (pool, concurrency) in process.pools.0 {
            let view = views.entry(pool.clone()).or_insert_with(|| empty(&pool));
            view.processes += 1;
            view.concurrency += concurrency;
        }
    }
    for due in backlog::due(conn).await? {
        let view = views.entry(due.pool.clone()).or_insert_with(|| empty(&due.pool));
        match due.worker_id {
            Some(_) => view.running += due.jobs,
            None => {
                view.waiting = BoundedCount::of(due.jobs);
                view.waiting_since = Some(due.since);
            }
        }
    }
    // In the order in which a message passes through them.
    let place = |pool: &str| pools::ALL.iter().position(|known| *known == pool).unwrap_or(pools::ALL.len());
    let mut views: Vec<PoolView> = views.into_values().collect();
    views.sort_by_key(|view| place(&view.pool));
    Ok(views)
}
