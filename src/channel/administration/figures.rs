//! Figures of the whole database, for metrics. Each is counted up to a limit, so that they take as long with a million rows as with none.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use queue::{backlog, dead_jobs, pauses};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use store::overview;

use super::processes;

/// What one process has read for all. A field that is added later gets its default where a process of the build before has read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// By pool.
    pub pools: BTreeMap<String, PoolFigures>,
    /// Jobs whose time has come and that no process has put in line.
    pub overdue_jobs: i64,
    /// Of the latest thousand jobs that gave up, by kind.
    pub dead_jobs: BTreeMap<String, i64>,
    /// Pools and kinds that are paused.
    pub pauses: i64,
    /// Messages that were planned within the last hour, by state.
    pub chunks: BTreeMap<String, i64>,
    /// Messages that are planned or under way, of 10,000 deliveries at most, by state.
    pub to_be_sent: BTreeMap<String, i64>,
    /// Sends of which nobody knows whether they arrived.
    pub in_doubt: i64,
    /// How long ago the oldest of them was begun.
    pub in_doubt_oldest_secs: f64,
    /// Slots that were fired and whose audience is not worked off.
    pub open_slots: i64,
    /// How long ago the oldest of them fell due.
    pub open_slots_oldest_secs: f64,
    /// Agents that answer nobody.
    pub agent_outages: i64,
    /// Alerts that are open, by cause.
    pub alerts: BTreeMap<String, i64>,
    /// Messages that Twilio has accepted in this calendar month, by what WhatsApp charges for.
    pub sent_this_month: BTreeMap<String, i64>,
}

/// A pool, over all processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolFigures {
    /// Jobs that are due and wait.
    pub waiting: i64,
    /// Since when the first of them does.
    pub oldest_secs: f64,
    /// Jobs that run.
    pub running: i64,
    /// How many may run.
    pub concurrency: i64,
    /// How many living processes serve it.
    pub processes: i64,
}

/// Reads them all.
pub async fn read(conn: &mut PgConnection) -> sqlx::Result<Figures> {
    let now = store::clock::now(conn).await?;
    let secs_since =
        |moment: Option<DateTime<Utc>>| moment.map_or(0.0, |moment| (now - moment).as_seconds_f64().max(0.0));
    let mut figures = Figures::default();
    for pool in processes::pools(conn).await? {
        let of_pool = PoolFigures {
            waiting: pool.waiting.number(),
            oldest_secs: secs_since(pool.waiting_since),
            running: pool.running,
            concurrency: pool.concurrency,
            processes: i64::try_from(pool.processes).unwrap_or(i64::MAX),
        };
        figures.pools.insert(pool.pool, of_pool);
    }
    figures.overdue_jobs = backlog::overdue(conn).await?.jobs;
    figures.dead_jobs =
        dead_jobs::latest(conn).await?.into_iter().map(|of_kind| (of_kind.kind, of_kind.jobs)).collect();
    figures.pauses = count(pauses::all(conn).await?);
    for sent in overview::sent_lately(conn).await? {
        *figures.chunks.entry(sent.state.as_str().to_owned()).or_default() += sent.number;
    }
    let to_be_sent = overview::to_be_sent(conn).await?.into_iter();
    figures.to_be_sent =
        to_be_sent.map(|counted| (counted.state.as_str().to_owned(), counted.number)).collect();
    let in_doubt = overview::in_doubt(conn).await?;
    (figures.in_doubt, figures.in_doubt_oldest_secs) = (in_doubt.number, secs_since(in_doubt.since));
    for late in store::slots::late(conn, 0.0).await? {
        figures.open_slots += late.slots;
        figures.open_slots_oldest_secs = figures.open_slots_oldest_secs.max(secs_since(Some(late.since)));
    }
    figures.agent_outages = count(overview::outages(conn).await?);
    for alert in store::alerts::open(conn).await? {
        *figures.alerts.entry(alert.cause.as_str().to_owned()).or_default() += 1;
    }
    figures.sent_this_month = store::sent_messages::this_month(conn).await?.by_kind().collect();
    Ok(figures)
}

fn count<T>(rows: Vec<T>) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}
