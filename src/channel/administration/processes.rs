//! The processes that work, and what is due in the pools that they serve.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use queue::backlog;
use queue::bounded_count::BoundedCount;
use serde::Serialize;
use sqlx::PgConnection;
use store::processes::Role;
use utoipa::ToSchema;

use crate::pools;

/// A process that works, or has worked and was not seen to stop.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessView {
    /// What its jobs name it by; null: it runs no jobs.
    pub worker: Option<i64>,
    /// What it does; empty: not told.
    pub roles: Vec<Role>,
    /// Its machine.
    pub host: String,
    /// Its number there; null: not told.
    pub process_id: Option<u32>,
    /// Of the program; null: not told.
    pub version: Option<String>,
    /// Whether its lease lasts, or, where it runs no jobs, whether it was seen within two minutes. The jobs of one that is dead are taken back by
    /// another.
    pub alive: bool,
    /// When it claimed for the first time, or was first seen.
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

/// All processes: those that run jobs in the order of their starts, then the others.
pub async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<ProcessView>> {
    let due = backlog::due(conn).await?;
    let schedulers = store::schedulers::alive(conn).await?;
    let known = store::processes::alive(conn).await?;
    let schedules = |name: &str| {
        let scheduler = schedulers.iter().find(|scheduler| scheduler.process == name);
        scheduler.map(|scheduler| scheduler.set_hash.clone())
    };
    let worker = |row: queue::processes::ProcessRow| {
        let running = |pool: &str| {
            due.iter()
                .filter(|due| due.pool == pool && due.worker_id == Some(row.id))
                .map(|due| due.jobs)
                .sum()
        };
        let served =
            |(pool, concurrency): (String, i64)| ServedPool { running: running(&pool), pool, concurrency };
        let (host, process_id) = parted(&row.name);
        let roles = known.iter().find(|process| process.process == row.name);
        ProcessView {
            worker: Some(row.id),
            roles: roles.map(|process| process.roles.clone()).unwrap_or_default(),
            host,
            process_id,
            version: row.version,
            alive: row.is_alive,
            started_at: row.started_at,
            renewed_at: row.renewed_at,
            pools: row.pools.0.into_iter().map(served).collect(),
            kinds: row.kinds.map(sorted),
            schedules: schedules(&row.name),
        }
    };
    let mut processes: Vec<ProcessView> =
        queue::processes::all(conn).await?.into_iter().map(worker).collect();
    // One that should run jobs and has no row among the workers has lost its lease, and is dead or comes back as another worker.
    for other in known.iter().filter(|process| !process.roles.contains(&Role::Workers)) {
        let (host, process_id) = parted(&other.process);
        processes.push(ProcessView {
            worker: None,
            roles: other.roles.clone(),
            host,
            process_id,
            version: Some(other.version.clone()),
            alive: true,
            started_at: other.started_at,
            renewed_at: other.seen_at,
            pools: Vec::new(),
            kinds: Some(Vec::new()),
            schedules: schedules(&other.process),
        });
    }
    Ok(processes)
}

/// The machine and the number there.
fn parted(name: &str) -> (String, Option<u32>) {
    match name.rsplit_once(':') {
        Some((host, number)) => (host.to_owned(), number.parse().ok()),
        None => (name.to_owned(), None),
    }
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
