//! Figures of the whole database. Every 15 seconds one of all processes reads them; each process keeps them in memory, so that a scrape asks nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use channel::administration::figures::{self, Figures, PoolFigures};
use channel::kinds;
use queue::connections::Connections;
use store::alerts::AlertCause;
use store::chunks::ChunkState;
use store::sent_messages::SentKind;
use store::text_enum::TextEnum;
use tokio_util::sync::CancellationToken;

use super::page::{Labels, Page};

/// How often they are read, by all processes together.
const READ_EVERY: Duration = Duration::from_secs(15);

/// How often a process takes what was read.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A look that takes longer is given up.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// What is older than this is not shown: nobody could read it for long.
const SHOWN_FOR: Duration = Duration::from_secs(60);

/// The states of the last hour's messages: what is to be sent is counted whatever its age, and what is in doubt by itself.
const SHOWN_STATES: [ChunkState; 6] = [
    ChunkState::Accepted,
    ChunkState::Sent,
    ChunkState::Delivered,
    ChunkState::Read,
    ChunkState::Failed,
    ChunkState::Expired,
];

/// The states of messages that are not Twilio's yet.
const STATES_BEFORE_TWILIO: [ChunkState; 2] = [ChunkState::Planned, ChunkState::Sending];

/// A kind that this version does not know.
const OTHER: &str = "other";

/// The figures that this process knows; clones are the same ones.
#[derive(Clone, Default)]
pub(crate) struct DatabaseFigures(Arc<Mutex<Option<Known>>>);

struct Known {
    figures: Figures,
    read_at: Instant,
}

impl DatabaseFigures {
    /// Looks until `stop`. A database that is away is told by figures that grow old.
    pub(crate) async fn run(self, pg: Connections, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            match tokio::time::timeout(LOOK_WITHIN, look(&pg)).await {
                Ok(Ok(Some(known))) => *self.known() = Some(known),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::debug!("Could not read the figures of the database: {error:#}"),
                Err(_) => {
                    tracing::debug!("Could not read the figures of the database within {LOOK_WITHIN:?}")
                }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        // A poisoned lock is usable: the guarded value is valid after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let known = self.known();
        let Some(Known { figures, read_at }) = &*known else { return Ok(()) };
        let age = read_at.elapsed();
        page.gauges(
            ("database_figures_age_seconds", "How long ago the figures of the whole database were read"),
            [(vec![], age.as_secs_f64())],
        )?;
        if age < SHOWN_FOR { write(page, figures) } else { Ok(()) }
    }
}

/// Reads the figures if it is time, and takes what is kept.
async fn look(pg: &Connections) -> anyhow::Result<Option<Known>> {
    let mut conn = pg.acquire().await?;
    if store::gauges::take_turn(&mut conn, READ_EVERY.as_secs_f64()).await? {
        let figures = figures::read(&mut conn).await?;
        store::gauges::keep(&mut conn, &serde_json::to_value(&figures)?).await?;
        return Ok(Some(Known { figures, read_at: Instant::now() }));
    }
    let asked_at = Instant::now();
    let Some((kept, secs_ago)) = store::gauges::kept(&mut conn).await? else { return Ok(None) };
    let figures = serde_json::from_value(kept).context("the kept figures cannot be read")?;
    let read_at = Duration::try_from_secs_f64(secs_ago).ok().and_then(|ago| asked_at.checked_sub(ago));
    Ok(read_at.map(|read_at| Known { figures, read_at }))
}

fn write(page: &mut Page<'_>, figures: &Figures) -> fmt::Result {
    write_queue(page, figures)?;
    let chunks =
        SHOWN_STATES.map(|state| (vec![("state", state.as_str())], of(&figures.chunks, state.as_str())));
    page.whole(
        ("chunks_last_hour", "Messages that were planned within the last hour, by how far they are"),
        chunks,
    )?;
    let to_be_sent = STATES_BEFORE_TWILIO
        .map(|state| (vec![("state", state.as_str())], of(&figures.to_be_sent, state.as_str())));
    page.whole(
        (
            "chunks_to_be_sent",
            "Messages that Twilio has not accepted yet, of 10,000 deliveries at most, by how far they are",
        ),
        to_be_sent,
    )?;
    page.whole(
        ("in_doubt_sends", "Sends of which nobody knows whether they arrived"),
        alone(figures.in_doubt as f64),
    )?;
    page.whole(
        ("in_doubt_oldest_seconds", "How long that has been so of the oldest"),
        alone(figures.in_doubt_oldest_secs),
    )?;
    page.whole(
        ("open_slots", "Slots of schedules whose audience is not worked off"),
        alone(figures.open_slots as f64),
    )?;
    page.whole(
        ("open_slots_oldest_seconds", "How long ago the oldest of these slots fell due"),
        alone(figures.open_slots_oldest_secs),
    )?;
    page.whole(("agent_outages", "Agents that answer nobody"), alone(figures.agent_outages as f64))?;
    page.whole(
        ("open_alerts", "Alerts that are open, by cause"),
        by::<AlertCause>("cause", &figures.alerts),
    )?;
    page.whole(
        (
            "sent_this_month",
            "Messages that Twilio accepted in this month (UTC), by what WhatsApp charges for",
        ),
        by::<SentKind>("kind", &figures.sent_this_month),
    )
}

fn write_queue(page: &mut Page<'_>, figures: &Figures) -> fmt::Result {
    let pools = |value: fn(&PoolFigures) -> f64| {
        let known = channel::pools::ALL.into_iter().filter_map(|pool| Some((pool, figures.pools.get(pool)?)));
        known.map(move |(pool, of_pool)| (vec![("pool", pool)], value(of_pool)))
    };
    page.whole(
        ("queue_waiting_jobs", "Jobs that are due and wait, up to 10,000"),
        pools(|pool| pool.waiting as f64),
    )?;
    page.whole(
        ("queue_oldest_seconds", "How long the first job in line has waited"),
        pools(|pool| pool.oldest_secs),
    )?;
    page.whole(("queue_running_jobs", "Jobs that run"), pools(|pool| pool.running as f64))?;
    page.whole(("queue_concurrency", "Jobs that may run at a time"), pools(|pool| pool.concurrency as f64))?;
    page.whole(
        ("queue_processes", "Living processes that serve the pool"),
        pools(|pool| pool.processes as f64),
    )?;
    page.whole(
        ("queue_overdue_jobs", "Jobs whose time has come and that no process has put in line"),
        alone(figures.overdue_jobs as f64),
    )?;
    let is_known = |kind: &str| kinds::ALL.contains(&kind);
    let others: i64 =
        figures.dead_jobs.iter().filter(|(kind, _)| !is_known(kind)).map(|(_, jobs)| jobs).sum();
    let dead = kinds::ALL.into_iter().map(|kind| (vec![("kind", kind)], of(&figures.dead_jobs, kind)));
    page.whole(
        ("dead_jobs", "Jobs that gave up and wait for a person, of the latest thousand"),
        dead.chain([(vec![("kind", OTHER)], others as f64)]),
    )?;
    page.whole(("pauses", "Pools and kinds of jobs that are paused"), alone(figures.pauses as f64))
}

fn alone(value: f64) -> [(Labels<'static>, f64); 1] {
    [(Labels::new(), value)]
}

fn of(numbers: &BTreeMap<String, i64>, name: &str) -> f64 {
    numbers.get(name).copied().unwrap_or_default() as f64
}

/// A value for each text of an enum.
fn by<E: TextEnum>(
    label: &'static str,
    numbers: &BTreeMap<String, i64>,
) -> impl Iterator<Item = (Labels<'static>, f64)> {
    E::TEXTS.iter().map(move |text| (vec![(label, *text)], of(numbers, text)))
}
